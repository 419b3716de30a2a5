//! The catalogue as `docs/attacks.md`.

use super::{Family, all};

const HEAD: &str = "\
# Attacks

What `clawker prove` tries, made of the catalogue by `clawker prove --list`. An attack holds only when its control succeeded: what
does not work anywhere proves nothing.
";

/// The whole page.
pub fn markdown() -> String {
    let mut text = HEAD.to_owned();
    for family in Family::ALL {
        let attacks: Vec<_> = all().filter(|attack| attack.family == family).collect();
        text.push_str(&format!("\n## {} ({})\n\n", family.as_str(), attacks.len()));
        text.push_str(
            "| id | what is tried | by | leaked when | control | known from |\n|---|---|---|---|---|---|\n",
        );
        for attack in attacks {
            let (who, arrival) = (attack.who.describe(), attack.arrival.describe());
            let control = attack.control.describe();
            text.push_str(&format!(
                "| `{}` | {} | {who} | {arrival} | {control} | {} |\n",
                attack.id, attack.title, attack.source
            ));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_page_in_docs_is_this_one() {
        let page = include_str!("../../../docs/attacks.md");
        assert_eq!(page, super::markdown(), "write it anew: clawker prove --list > docs/attacks.md");
    }
}
