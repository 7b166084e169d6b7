//! Coverage: do the registries from which images are pulled hold what is needed?
//!
//! Pure: `needs` says what a hosted cluster pulls (`payload` and `list` read what a release or a file needs), `pullers` who pulls
//! it, `demand` takes from `crate::mirrors` from where, and which signatures are demanded, `matrix` says what has to be asked next
//! and what follows from the answers, `report` is what people and programs get to see. With the client: `check` asks one place,
//! `release` and `payloads` read release images, `holder` looks credentials up, `asker` asks for many consumers.

pub mod asker;
pub mod check;
pub mod demand;
pub mod holder;
pub mod lack;
pub mod list;
pub mod matrix;
pub mod needs;
pub mod payload;
pub mod payloads;
pub mod pullers;
pub mod release;
pub mod report;
pub mod sample;
pub mod strict;
pub mod unneeded;
pub mod want;
