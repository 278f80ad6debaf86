// The Firefox profiler's command line turns each piece that comes through its socket into text by itself, so
// that a character of several bytes that lies across two pieces comes out as U+FFFD. Sockets that say what they
// carry put it together.
const net = require("net");
const on = net.Socket.prototype.on;
net.Socket.prototype.on = function (event, listener) {
  if (event === "data" && this._handle?.constructor.name === "Pipe" && !this.readableEncoding) {
    this.setEncoding("utf8");
  }
  return on.call(this, event, listener);
};
