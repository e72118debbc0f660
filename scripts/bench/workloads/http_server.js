// The server of Node that says hello, on as many workers as the argument says;
// writes its port to standard output.
const cluster = require("cluster")
const workers = Number(process.argv[2])

if (cluster.isMaster && workers > 1) {
  let listening = 0
  for (let i = 0; i < workers; i++) cluster.fork()
  cluster.on("listening", (worker, address) => {
    if (++listening === workers) console.log(address.port)
  })
} else {
  const server = require("http").createServer((req, res) => {
    res.setHeader("Content-Type", "text/plain")
    res.end("hello, world\n")
  })
  server.listen(0, "127.0.0.1", () => cluster.isMaster && console.log(server.address().port))
}
