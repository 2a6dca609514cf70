// SPDX-License-Identifier: MIT
// server.lua with Node.js. Prints three ports, 0 for what it doesn't have.
"use strict";
const net = require("net");
const chunk = Buffer.alloc(65536, "x");

function echo(socket) {
  socket.on("data", (data) => socket.write(data));
}

function send(socket) {
  const more = () => { while (socket.write(chunk)); };
  socket.on("drain", more);
  more();
}

function serve(handler) {
  return new Promise((go) => {
    const server = net.createServer({ noDelay: true }, (socket) => {
      socket.on("error", () => socket.destroy());
      handler(socket);
    });
    server.listen({ port: 0, host: "127.0.0.1", backlog: 1024 },
      () => go(server.address().port));
  });
}

(async () => console.log(await serve(echo), await serve(send), 0))();
