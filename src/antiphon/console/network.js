// What the browser tells of the network.

/** Calls `onChange` when it is another one, or there again. */
export class Network {
  type = navigator.connection?.type;

  constructor(onChange) {
    this.heard = ({ type: event }) => {
      // A browser also tells of each new guess at how fast the network is.
      const before = this.type;
      this.type = navigator.connection?.type;
      if (event === "online" || this.type !== before) onChange();
    };
    window.addEventListener("online", this.heard);
    navigator.connection?.addEventListener?.("change", this.heard);
  }

  stop() {
    window.removeEventListener("online", this.heard);
    navigator.connection?.removeEventListener?.("change", this.heard);
  }
}
