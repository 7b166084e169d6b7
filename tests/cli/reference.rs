//! docs/reference.md, and the tables of docs/agent.md, name what the code has, and nothing else.

mod flags;
mod help;
mod metrics;
mod names;
mod page;
