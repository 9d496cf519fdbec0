//! Time as data.
