//! The limit of open files, which bounds the connections of this process.

use std::io;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Open files below which the manager may not be able to connect to 1,000 guest clusters. Each needs up to three: one for
/// requests and one for each watch.
const FEW: u64 = 4_096;

/// The number of files that this process may open. `None` if it is unlimited.
pub fn limit() -> Option<u64> {
    getrlimit(Resource::Nofile).current
}

/// Raises the limit as far as the process may, and logs a limit that is low.
///
/// The soft limit is 1,024 under many container runtimes, because programs that use `select` fail above that. This one does not
/// use it.
pub fn raise_limit() {
    match raise() {
        Ok(limit) if limit.is_some_and(|limit| limit < FEW) => tracing::warn!(
            limit,
            "the limit of open files is low: about a third of it guest clusters can be connected; raise the hard limit of the \
             container runtime (LimitNOFILE)"
        ),
        Ok(limit) => tracing::debug!(limit, "raised the limit of open files"),
        Err(error) => tracing::warn!(%error, limit = limit(), "failed to raise the limit of open files"),
    }
}

/// Sets the soft limit to the hard one, and returns it.
fn raise() -> io::Result<Option<u64>> {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    if current != maximum {
        setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum })?;
    }
    Ok(maximum)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_soft_limit_is_raised_to_the_hard_one() {
        let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
        // Only slightly lower, because other tests of this process open files meanwhile.
        let lower = maximum.map_or(1 << 20, |maximum| maximum - 1);
        setrlimit(Resource::Nofile, Rlimit { current: Some(lower), maximum }).unwrap();
        assert_eq!(limit(), Some(lower));
        assert_eq!(raise().unwrap(), maximum);
        assert_eq!(limit(), maximum);
    }
}
