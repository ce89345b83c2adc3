"""What the benchmarks and their traffic promise."""
