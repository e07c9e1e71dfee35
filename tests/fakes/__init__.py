"""The wires of vendors, as servers on loopback: what the vendor's own SDK accepts, our adapter has
to get along with, and the other way round. One module per vendor, made from its documentation."""
