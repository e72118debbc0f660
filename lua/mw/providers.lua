-- Who gives servers and UDP sockets their handles where the kernel does not: a
-- subsystem above puts itself in. A module of its own, so that it can do so
-- before anybody needs servers or sockets.

---@class mw.Providers
---@field listen mw.ListenProvider? as net.set_listen_provider() says
---@field bind mw.DgramBindProvider? as dgram.set_bind_provider() says
return {}
