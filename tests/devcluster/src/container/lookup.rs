//! Finds the program of an exec in a container's file system, with a container runtime's words when it is not there.

use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

/// Says why runc would not start this command, or nothing when it would. Blocks; call it inside the container's root.
pub(crate) fn find_refusal(command: &[String], search_path: &str) -> Option<String> {
    let Some(program) = command.first() else {
        return Some("exec failed: args must not be empty".to_owned());
    };
    let refusal =
        |reason: &str| Some(format!("exec failed: unable to start container process: exec: \"{program}\": {reason}"));
    if !program.contains('/') {
        let found = search_path.split(':').any(|folder| is_executable(&Path::new(folder).join(program)));
        return if found && !program.is_empty() { None } else { refusal("executable file not found in $PATH") };
    }
    match fs::metadata(program) {
        Ok(found) if found.is_dir() => refusal("is a directory"),
        Ok(found) if found.permissions().mode() & 0o111 == 0 => refusal("permission denied"),
        Ok(_) => None,
        Err(error) if error.kind() == ErrorKind::NotFound => {
            refusal(&format!("stat {program}: no such file or directory"))
        }
        Err(error) if error.kind() == ErrorKind::PermissionDenied => refusal("permission denied"),
        Err(_) => refusal(&format!("stat {program}: not a directory")),
    }
}

fn is_executable(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|found| found.is_file() && found.permissions().mode() & 0o111 != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(command: &[&str]) -> Option<String> {
        let command: Vec<_> = command.iter().map(|&word| word.to_owned()).collect();
        find_refusal(&command, "/usr/bin:/bin")
    }

    #[test]
    fn a_program_is_found_by_path_or_by_search() {
        assert_eq!(refusal(&["sh"]), None);
        assert_eq!(refusal(&["/bin/sh", "-c", "true"]), None);
    }

    #[test]
    fn a_missing_program_is_refused_in_the_words_of_runc() {
        assert_eq!(refusal(&[]).as_deref(), Some("exec failed: args must not be empty"));
        let prefix = "exec failed: unable to start container process: exec: ";
        assert_eq!(
            refusal(&["no-such-program"]),
            Some(format!("{prefix}\"no-such-program\": executable file not found in $PATH"))
        );
        assert_eq!(
            refusal(&["/no/such/program"]),
            Some(format!("{prefix}\"/no/such/program\": stat /no/such/program: no such file or directory"))
        );
        assert_eq!(refusal(&["/etc/passwd"]), Some(format!("{prefix}\"/etc/passwd\": permission denied")));
    }
}
