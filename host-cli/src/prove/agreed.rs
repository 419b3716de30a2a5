//! What the twin is made of: what was accepted of the project's file, whatever the file says by now. Where nothing was
//! accepted yet, the file as it is, which is what the first `clawker run` asks for.

use std::fs;
use std::path::Path;

use crate::config::{Loaded, Written};
use crate::exit::Failure;
use crate::project::Accepted;

/// Puts what was accepted in the place of what the file says. Its certificates become files of `folder`.
///
/// # Errors
/// When they can't be written.
pub fn put(loaded: &mut Loaded, accepted: Option<&Accepted>, folder: &Path) -> Result<(), Failure> {
    let Some(accepted) = accepted else { return Ok(()) };
    let security = &mut loaded.config.security;
    let firewall = &mut security.firewall;
    // The accepted rules have those of `add_domains` among them.
    firewall.add_domains.clear();
    let rules = accepted.rules.iter().map(|one| Written {
        value: one.rule.clone(),
        file: one.place.clone().into(),
        line: 0,
        column: 0,
    });
    firewall.rules = rules.collect();
    firewall.telemetry = accepted.telemetry;
    firewall.inspect = accepted.inspect;
    firewall.upstream_dns.clone_from(&accepted.upstream_dns);
    security.userns = accepted.userns;
    security.extra_ca.clear();
    for (number, ca) in accepted.extra_ca.iter().enumerate() {
        let path = folder.join(format!("accepted-{number}.pem"));
        fs::write(&path, &ca.pem)?;
        security.extra_ca.push(path);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config;
    use crate::paths::Paths;
    use crate::project::{self, Ca};

    /// A folder that goes with its test.
    struct Folder(std::path::PathBuf);

    impl Folder {
        fn new(name: &str) -> Self {
            let root = std::env::temp_dir().join(format!("clawker-agreed-{name}-{}", std::process::id()));
            fs::create_dir_all(&root).unwrap();
            Self(root)
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    fn loaded(folder: &Path, text: &str) -> Loaded {
        fs::write(folder.join(config::FILE), text).unwrap();
        let paths = Paths {
            state: folder.join("state"),
            config: folder.join("config"),
            cache: folder.join("cache"),
            instance: None,
        };
        config::load(folder, &paths).unwrap()
    }

    #[test]
    fn a_file_that_widened_since_changes_nothing_of_what_was_accepted() {
        let folder = Folder::new("widened");
        let before = "project: demo\nsecurity:\n  firewall:\n    add_domains: [good.example]\n    rules: [{dst: other.example, proto: http}]\n";
        let accepted = Accepted::wanted(&loaded(&folder.0, before)).unwrap();
        let pem = "-----BEGIN CERTIFICATE-----\nx\n-----END CERTIFICATE-----\n".to_owned();
        let accepted =
            Accepted { extra_ca: vec![Ca { path: "gone.pem".into(), pem: pem.clone() }], ..accepted };

        let after = "project: demo\nsecurity:\n  userns: true\n  firewall:\n    inspect: true\n    upstream_dns: [198.51.100.1]\n    rules: [{dst: evil.example}]\n";
        let mut file = loaded(&folder.0, after);
        assert_ne!(project::Accepted::wanted(&file).unwrap().rules.len(), accepted.rules.len());
        put(&mut file, Some(&accepted), &folder.0).unwrap();
        let taken = Accepted::wanted(&file).unwrap();
        let rules = |of: &Accepted| of.rules.iter().map(|one| one.rule.clone()).collect::<Vec<_>>();
        assert_eq!(rules(&taken), rules(&accepted));
        assert_eq!(
            (taken.userns, taken.inspect, taken.telemetry, &taken.upstream_dns),
            (accepted.userns, accepted.inspect, accepted.telemetry, &accepted.upstream_dns)
        );
        assert_eq!(taken.extra_ca.iter().map(|ca| &ca.pem).collect::<Vec<_>>(), [&pem]);
    }

    #[test]
    fn without_anything_accepted_the_file_stands() {
        let folder = Folder::new("none");
        let mut file =
            loaded(&folder.0, "project: demo\nsecurity:\n  firewall:\n    add_domains: [good.example]\n");
        let before = Accepted::wanted(&file).unwrap();
        put(&mut file, None, &folder.0).unwrap();
        assert_eq!(Accepted::wanted(&file).unwrap(), before);
    }
}
