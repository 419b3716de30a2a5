//! Every command shows how it is used, and what it shows can be typed.

#[cfg(test)]
mod tests {
    use clap::Parser;

    use crate::cli::{Cli, WIDTH};
    use crate::reference::commands;

    /// The command of an example's line: without what it says about itself, and without the shell's part behind it.
    fn typed(line: &str) -> Option<Vec<String>> {
        let line = line.strip_prefix("  ")?;
        let start = line.find("clawker ")?;
        // Nothing but what a pipe feeds it stands before.
        (start == 0 || line[..start].ends_with("| ")).then_some(())?;
        let line = &line[start..];
        let line = line.split("  ").next()?;
        let end =
            [" | ", " && ", " > "].iter().filter_map(|mark| line.find(mark)).min().unwrap_or(line.len());
        Some(line[..end].split(' ').map(|word| word.trim_matches('\'').to_owned()).collect())
    }

    #[test]
    fn every_command_has_an_example_and_every_example_parses() {
        let all = commands();
        assert!(all.len() > 40, "{}", all.len());
        for (path, mut command) in all {
            let help = command.render_long_help().to_string();
            let shown = help.split_once("Examples:\n").unwrap_or_else(|| panic!("{path} has no example")).1;
            let examples: Vec<_> = shown
                .lines()
                .map_while(|line| line.starts_with("  ").then_some(line))
                .filter_map(typed)
                .collect();
            assert!(!examples.is_empty(), "{path} has no example");
            for words in &examples {
                if let Err(error) = Cli::try_parse_from(words) {
                    panic!("{path}: {words:?}: {error}");
                }
            }
            let own = examples.iter().any(|words| words.join(" ").starts_with(path.as_str()));
            assert!(own, "{path} shows only others");
        }
    }

    #[test]
    fn no_help_is_wider_than_a_narrow_terminal() {
        for (path, mut command) in commands() {
            for help in [command.render_long_help(), command.render_help()] {
                for line in help.to_string().lines() {
                    assert!(line.chars().count() <= WIDTH, "{path}: {line}");
                }
            }
        }
    }
}
