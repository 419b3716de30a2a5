//! `.clawkerignore`: what of a project its agents don't see.

use super::Language;

/// What holds secrets in any project.
const ALWAYS: &str = "\
# What the project's agents don't see. The syntax is .gitignore's.

# Secrets
.env
.env.*
!.env.example
!.env.sample
!.env.template
*.pem
*.key
*.p12
*.pfx
*.jks
id_rsa*
id_ed25519*
.netrc
.git-credentials
.aws/
.ssh/
.kube/
*.tfstate
*.tfstate.*
";

/// The whole file.
pub(super) fn text(languages: &[Language]) -> String {
    let mut text = ALWAYS.to_owned();
    let secrets: Vec<&str> = languages.iter().flat_map(|language| secrets(*language)).copied().collect();
    if !secrets.is_empty() {
        text.push_str("\n# Package managers' tokens\n");
        secrets.iter().for_each(|line| text.push_str(&format!("{line}\n")));
    }
    let made: Vec<&str> = languages.iter().flat_map(|language| made(*language)).copied().collect();
    if !made.is_empty() {
        text.push_str("\n# What the agent can make again; take a # away to have it make its own\n");
        made.iter().for_each(|line| text.push_str(&format!("# {line}\n")));
    }
    text
}

fn secrets(language: Language) -> &'static [&'static str] {
    match language {
        Language::Python => &[".pypirc"],
        Language::Rust => &[".cargo/credentials.toml", ".cargo/credentials"],
        Language::Ruby => &["config/master.key", "config/credentials/*.key"],
        Language::Php => &["auth.json"],
        Language::DotNet => &["appsettings.*.local.json"],
        Language::JavaScript | Language::Go | Language::Java | Language::Elixir | Language::Dart => &[],
    }
}

fn made(language: Language) -> &'static [&'static str] {
    match language {
        Language::JavaScript => &["node_modules/"],
        Language::Python => &[".venv/", "__pycache__/"],
        Language::Rust => &["target/"],
        Language::Go => &[],
        Language::Ruby => &["vendor/bundle/"],
        Language::Java => &["build/", ".gradle/"],
        Language::Php => &["vendor/"],
        Language::DotNet => &["bin/", "obj/"],
        Language::Elixir => &["_build/", "deps/"],
        Language::Dart => &[".dart_tool/"],
    }
}
