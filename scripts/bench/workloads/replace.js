// The same in Node.
const cluster = require("cluster"), http = require("http")

if (!cluster.isMaster) {
  http.createServer((req, res) => res.end("hello, world\n")).listen(0, "127.0.0.1")
} else {
  const rounds = Number(process.argv[2] || 20)
  const times = []
  let killedAt, listening = 0
  cluster.on("exit", () => killedAt && cluster.fork())
  cluster.on("listening", worker => {
    if (++listening < 2) return
    if (killedAt) times.push(Number(process.hrtime.bigint() - killedAt))
    if (times.length < rounds) {
      killedAt = process.hrtime.bigint()
      worker.process.kill("SIGKILL")
      return
    }
    killedAt = undefined
    times.sort((a, b) => a - b)
    console.log(times[(times.length - 1) >> 1] / 1000)
    cluster.disconnect()
  })
  cluster.fork()
  cluster.fork()
}
