"""What the dataflow promises."""
