//! The limit of open files: each session has a socket or a stream, and two files of its recording.

use std::io;

use rustix::process::{Resource, getrlimit, setrlimit};

/// Raises this process' limit of open files to what the system allows it, and returns that; `None` is no limit.
///
/// The usual soft limit of 1024 is kept low for programs that use `select`, which these do not.
pub fn raise_limit() -> io::Result<Option<u64>> {
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    setrlimit(Resource::Nofile, limit)?;
    Ok(limit.maximum)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_limit_can_be_raised_again_and_again() {
        let first = raise_limit().expect("may be raised");
        assert_eq!(raise_limit().expect("may be raised"), first);
        assert_eq!(getrlimit(Resource::Nofile).current, first);
    }
}
