//! Adapters: the only files that do I/O.
