//! Coverage: do the registries from which images are pulled hold what is needed?
//!
//! `matrix` is pure: needs, who pulls them and from where, and what is known about each place; it says what has to be asked
//! next and what follows. `payload` and `list` read what is needed, `demand` takes from `crate::mirrors` who pulls it from where.
//! `check` asks one place, `release` reads a release image.

pub mod check;
pub mod demand;
pub mod list;
pub mod matrix;
pub mod payload;
pub mod release;
