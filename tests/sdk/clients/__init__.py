"""One script a library: it makes every call that the library has, against the server named by its first argument."""
