//! Which program an agent's container runs: the image's ENTRYPOINT, then the command given or the image's CMD.
//! Pure.

/// The program that clawker's own image runs when nothing is named.
const OWN_DEFAULT: &str = "claude";

/// Nothing says what to run.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("Image {image} names no program to run; give one: clawker run --image {image} -- COMMAND")]
pub struct NoProgram {
    image: String,
}

/// The program and its arguments. An ENTRYPOINT that is our init counts as none: init is there anyway.
///
/// # Errors
/// [`NoProgram`] when neither image nor user names one.
pub fn resolve(
    image: &str,
    entrypoint: &[String],
    cmd: &[String],
    given: &[String],
) -> Result<Vec<String>, NoProgram> {
    let ours = entrypoint.first().is_some_and(|program| is_init(program));
    let mut argv: Vec<String> = if ours { Vec::new() } else { entrypoint.to_vec() };
    argv.extend_from_slice(if given.is_empty() { cmd } else { given });
    if argv.is_empty() && ours {
        argv.push(OWN_DEFAULT.to_owned());
    }
    if argv.first().is_none_or(String::is_empty) {
        Err(NoProgram { image: image.to_owned() })
    } else {
        Ok(argv)
    }
}

fn is_init(program: &str) -> bool {
    program.rsplit('/').next() == Some("clawker-init")
}

/// Whether a program is a shell that wants a session of its own for job control.
pub fn is_shell(program: &str) -> bool {
    matches!(program.rsplit('/').next(), Some("sh" | "bash" | "zsh" | "dash" | "ash" | "fish" | "ksh"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_image_and_the_user_say_what_runs() {
        let init = &["/usr/local/bin/clawker-init"][..];
        for (entrypoint, cmd, given, expected) in [
            (&[][..], &["sh"][..], &[][..], &["sh"][..]),
            (&[], &["sh"], &["ls", "-l"], &["ls", "-l"]),
            (&["/entry"], &["serve"], &[], &["/entry", "serve"]),
            (&["/entry"], &["serve"], &["test"], &["/entry", "test"]),
            (&["/entry"], &[], &[], &["/entry"]),
            (init, &[], &[], &["claude"]),
            (init, &["bash"], &[], &["bash"]),
            (init, &[], &["id"], &["id"]),
        ] {
            let owned = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
            let argv = resolve("i", &owned(entrypoint), &owned(cmd), &owned(given));
            assert_eq!(argv, Ok(owned(expected)), "{entrypoint:?} {cmd:?} {given:?}");
        }
        assert!(resolve("scratch", &[], &[], &[]).is_err());
        assert!(resolve("odd", &[], &[String::new()], &[]).is_err());
    }

    #[test]
    fn shells_are_known_by_their_last_name() {
        assert!(is_shell("/bin/bash") && is_shell("sh"));
        assert!(!is_shell("/opt/sh/tool") && !is_shell("claude"));
    }
}
