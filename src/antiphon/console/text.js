// The way to the agent without sound.

import { Line } from "./line.js";
import { lineLost, refusal, unreachable } from "./problems.js";

export class TextLine extends Line {
  open(agent) {
    const scheme = location.protocol === "https:" ? "wss" : "ws";
    const query = agent ? `?agent=${encodeURIComponent(agent)}` : "";
    this.socket = new WebSocket(`${scheme}://${location.host}/api/text${query}`);
    let wasOpen = false;
    this.socket.onopen = () => {
      wasOpen = true;
      this.flush();
    };
    this.socket.onmessage = (message) => {
      const event = JSON.parse(message.data);
      if (event.type === "error" && event.error?.type === "capacity_error") {
        this.finish(refusal(503, event));
      } else this.receive(message.data);
    };
    this.socket.onclose = () => this.finish(wasOpen ? lineLost() : unreachable());
  }

  deliver(event) {
    if (this.socket?.readyState !== WebSocket.OPEN) return false;
    this.socket.send(JSON.stringify(event));
    return true;
  }

  leave() {
    this.finish();
  }

  release() {
    if (!this.socket) return;
    this.socket.onclose = null;
    this.socket.close();
  }
}
