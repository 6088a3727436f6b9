//! The loop, with a chain and a pin service of its own.
