//! Who the agent is, as the image's own `/etc/passwd` and `/etc/group` tell. An image may have neither.

use std::path::Path;

/// An account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    /// Its name; `agent` where the image knows none for the uid.
    pub name: String,
    /// Its home folder.
    pub home: String,
    /// Its login shell; empty where the image names none.
    pub shell: String,
    /// Its supplementary groups; empty where the image names none.
    pub groups: Vec<u32>,
}

/// Looks a uid up in the image.
pub fn account(uid: u32) -> Account {
    let read = |path: &str| std::fs::read(path).map(|b| String::from_utf8_lossy(&b).into_owned());
    let (passwd, group) = (read("/etc/passwd").unwrap_or_default(), read("/etc/group").unwrap_or_default());
    let fallback = if Path::new("/tmp").is_dir() { "/tmp" } else { "/" };
    account_in(&passwd, &group, uid, fallback)
}

/// Looks a uid up in the text of both files.
pub fn account_in(passwd: &str, group: &str, uid: u32, fallback_home: &str) -> Account {
    let line = passwd.lines().map(|line| line.split(':').collect::<Vec<_>>()).find_map(|fields| match fields
        .as_slice()
    {
        [name, _, id, _, _, home, shell] if id.parse() == Ok(uid) => Some((*name, *home, *shell)),
        _ => None,
    });
    let Some((name, home, shell)) = line else {
        return Account {
            name: "agent".to_owned(),
            home: fallback_home.to_owned(),
            shell: String::new(),
            groups: Vec::new(),
        };
    };
    let home = if home.is_empty() { fallback_home } else { home };
    Account {
        name: name.to_owned(),
        home: home.to_owned(),
        shell: shell.to_owned(),
        groups: groups_of(group, name),
    }
}

/// Gid 0 is never handed on: an image that puts its user into root's group must not widen what it may write.
fn groups_of(group: &str, name: &str) -> Vec<u32> {
    let mut groups: Vec<u32> = group
        .lines()
        .filter_map(|line| {
            let fields: Vec<&str> = line.split(':').collect();
            match fields.as_slice() {
                [_, _, gid, members] if members.split(',').any(|member| member == name) => gid.parse().ok(),
                _ => None,
            }
        })
        .filter(|gid| *gid != 0)
        .collect();
    groups.sort_unstable();
    groups.dedup();
    groups
}

#[cfg(test)]
mod tests {
    use super::*;

    const PASSWD: &str =
        "root:x:0:0::/root:/bin/sh\nbroken\nclaude:x:1001:1001:,,,:/home/claude:/bin/bash\nbare:x:5:5:::\n";
    const GROUP: &str =
        "root:x:0:claude\naudio:x:29:claude,other\nvideo:x:44:claude\nother:x:50:notclaude\nbad\n";

    #[test]
    fn the_image_names_home_and_groups_but_never_roots() {
        let account = account_in(PASSWD, GROUP, 1001, "/tmp");
        assert_eq!((account.name.as_str(), account.home.as_str()), ("claude", "/home/claude"));
        assert_eq!(account.groups, [29, 44]);
    }

    #[test]
    fn an_image_that_knows_nobody_still_works() {
        let account = account_in("", "", 1001, "/");
        assert_eq!((account.name.as_str(), account.home.as_str()), ("agent", "/"));
        assert!(account.groups.is_empty());
        assert_eq!(account_in(PASSWD, GROUP, 5, "/tmp").home, "/tmp");
    }
}
