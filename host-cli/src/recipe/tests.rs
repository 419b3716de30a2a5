use std::path::Path;

use super::*;

fn full() -> Instructions {
    let map = |pairs: &[(&str, &str)]| {
        pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
    };
    Instructions {
        args: map(&[("VERSION", "1.2")]),
        labels: map(&[("org.example/team", "a b")]),
        env: map(&[("GREETING", "it's \"$HOME\" \\")]),
        copy: vec![Copied {
            src: "a[1] $x".into(),
            dest: "/opt/$x y".into(),
            chown: Some("1001:1001".into()),
        }],
        root_run: vec!["cat <<END > /etc/note\n\"$VERSION\" \\\nEND".into()],
        user_run: vec!["echo \\\n  hello > ~/note".into()],
    }
}

fn of(instructions: &Instructions) -> Result<String, RecipeError> {
    dockerfile(&Wanted { base: Base::Image("debian:13"), packages: &[], instructions })
        .map(|recipe| recipe.text)
}

#[test]
fn the_recipe_is_what_it_was() {
    for (file, base) in
        [("debian", "debian:13"), ("ubuntu", "ubuntu:24.04"), ("alpine", "docker.io/library/alpine:3.22")]
    {
        let packages = ["jq".to_owned(), "g++".to_owned()];
        let text =
            dockerfile(&Wanted { base: Base::Image(base), packages: &packages, instructions: &full() })
                .unwrap();
        assert_eq!(text.text.lines().count(), text.keys.len());
        let text = text.text;
        let path =
            Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("src/recipe/expected/{file}.Dockerfile"));
        if std::env::var_os("CLAWKER_WRITE_EXPECTED").is_some() {
            std::fs::write(&path, &text).unwrap();
        }
        assert_eq!(text, std::fs::read_to_string(&path).unwrap(), "{file}");
    }
}

#[test]
fn no_value_ends_its_instruction() {
    let plain = of(&full()).unwrap().lines().count();
    for bad in ["x\nRUN id", "x\\", "x\\\\\n", "<<EOF", "\"]\nRUN id", "$(id)", "`id`", "'", "# escape=`"] {
        let mut it = full();
        it.root_run = vec![bad.into()];
        it.user_run = vec![bad.into()];
        let text = of(&it).unwrap();
        assert_eq!(text.lines().count(), plain, "{bad:?}");
        assert!(!text.contains("<<"), "a heredoc in {text}");
        // What the builder runs is what was written.
        let mut run = text.lines().filter_map(|line| line.strip_prefix("RUN "));
        let last: Vec<String> = serde_json::from_str(run.next_back().unwrap()).unwrap();
        assert_eq!(last, ["/bin/sh", "-ec", bad]);
    }
}

#[test]
fn variables_in_values_stay_text() {
    let text = of(&full()).unwrap();
    assert!(text.contains(r#"ENV GREETING="it's \"\$HOME\" \\""#), "{text}");
    assert!(text.contains(r#"["copy/0", "\"/opt/\\$x y\""]"#), "{text}");
}

#[test]
fn what_an_instruction_cannot_hold_is_refused_by_key() {
    let with = |change: fn(&mut Instructions)| {
        let mut it = full();
        change(&mut it);
        of(&it).map_err(|error| error.to_string())
    };
    with(|_| ()).unwrap();
    let line = with(|it| drop(it.env.insert("A".into(), "b\nRUN id".into()))).unwrap_err();
    assert!(line.contains("build.instructions.env.A"), "{line}");
    for wrong in ["A B", "A=1", "1A", "", "A\nRUN"] {
        let mut it = full();
        it.env.insert(wrong.into(), "x".into());
        assert!(of(&it).is_err(), "{wrong:?}");
    }
    with(|it| it.copy[0].dest = "relative".into()).unwrap_err();
    with(|it| it.copy[0].dest = "/a\nRUN id".into()).unwrap_err();
    with(|it| it.copy[0].chown = Some("0 --from=x".into())).unwrap_err();
    with(|it| it.root_run = vec!["a\0b".into()]).unwrap_err();
    let long = with(|it| it.root_run = vec!["x".repeat(70_000)]).unwrap_err();
    assert!(long.contains("root_run[0]"), "{long}");
    for base in ["", "-x", "a b", "$X", "a\nRUN id", "a AS b"] {
        assert!(
            dockerfile(&Wanted { base: Base::Image(base), packages: &[], instructions: &full() }).is_err(),
            "{base:?}"
        );
    }
    for package in ["-y", "a b", "$(id)", ""] {
        let packages = [package.to_owned()];
        let wanted = Wanted { base: Base::Image("a"), packages: &packages, instructions: &full() };
        assert!(dockerfile(&wanted).is_err(), "{package:?}");
    }
}

#[test]
fn what_follows_a_dockerfile_of_the_project_s_own_is_ours() {
    let after = |text: &str| {
        dockerfile(&Wanted { base: Base::Dockerfile(text), packages: &[], instructions: &full() })
    };
    let recipe = after("FROM alpine\nRUN a && \\\n  b").unwrap();
    assert!(recipe.text.starts_with("FROM alpine\nRUN a && \\\n  b\nUSER 0:0\nARG "), "{}", recipe.text);
    assert_eq!(recipe.keys.len() + 3, recipe.text.lines().count());
    for wrong in ["# escape=`\nFROM alpine", "#\n #Escape = `\nFROM alpine", "FROM alpine\nRUN a \\\n\n"] {
        assert!(after(wrong).is_err(), "{wrong:?}");
    }
    after("# escape=\\\nFROM alpine").unwrap();
}
