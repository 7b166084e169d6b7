//! OLM catalogs on real API servers: each scenario is a sentence, and starts servers of its own.

mod images;
mod registries;
mod stage;
