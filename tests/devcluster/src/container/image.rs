//! Which root file system stands in for an image.

/// What a container finds under `/`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Image {
    /// busybox and nothing else.
    Busybox,
    /// One program that waits, its libraries, and no shell.
    Shellless,
    /// This machine's own programs, read-only.
    Tools,
}

impl Image {
    /// Guesses by the image's name: the part after the last slash, before the tag.
    pub(crate) fn of_name(name: &str) -> Self {
        let last = name.rsplit('/').next().unwrap_or(name);
        let base = last.split([':', '@']).next().unwrap_or(last);
        match base {
            "busybox" => Self::Busybox,
            "pause" => Self::Shellless,
            _ if name.contains("distroless") => Self::Shellless,
            _ => Self::Tools,
        }
    }

    /// What runs when the manifest names no command.
    pub(crate) fn entry_point(self) -> Vec<String> {
        let words: &[&str] = match self {
            Self::Busybox => &["sh"],
            Self::Shellless => &["/pause", "infinity"],
            Self::Tools => &["bash"],
        };
        words.iter().map(|&word| word.to_owned()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_decides_whatever_registry_and_tag() {
        assert_eq!(Image::of_name("docker.io/library/busybox:1.36"), Image::Busybox);
        assert_eq!(Image::of_name("registry.k8s.io/pause:3.10"), Image::Shellless);
        assert_eq!(Image::of_name("gcr.io/distroless/static-debian12"), Image::Shellless);
        assert_eq!(Image::of_name("debian:12-slim"), Image::Tools);
    }
}
