//! What a project is written in, told by the files that its package managers need.

use std::path::Path;

use serde::Serialize;

/// The most entries of a folder that are looked at.
const MAX_ENTRIES: usize = 2_000;
/// Folders that hold others' work.
const OTHERS: [&str; 5] = ["node_modules", "vendor", "target", "build", "dist"];

/// A language with its package manager.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Language {
    /// npm, yarn, pnpm.
    JavaScript,
    /// pip, uv, poetry.
    Python,
    /// cargo.
    Rust,
    /// go.
    Go,
    /// bundler.
    Ruby,
    /// maven, gradle.
    Java,
    /// composer.
    Php,
    /// nuget.
    DotNet,
    /// mix.
    Elixir,
    /// pub.
    Dart,
}

impl Language {
    /// As people write it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::JavaScript => "JavaScript",
            Self::Python => "Python",
            Self::Rust => "Rust",
            Self::Go => "Go",
            Self::Ruby => "Ruby",
            Self::Java => "Java",
            Self::Php => "PHP",
            Self::DotNet => ".NET",
            Self::Elixir => "Elixir",
            Self::Dart => "Dart",
        }
    }

    /// The language of a file, where it is one that tells.
    fn of_file(name: &str) -> Option<Self> {
        Some(match name {
            "package.json" | "yarn.lock" | "pnpm-workspace.yaml" | ".npmrc" => Self::JavaScript,
            "pyproject.toml" | "requirements.txt" | "setup.py" | "setup.cfg" | "Pipfile" | "uv.lock" => {
                Self::Python
            }
            "Cargo.toml" => Self::Rust,
            "go.mod" | "go.work" => Self::Go,
            "Gemfile" | "gems.rb" => Self::Ruby,
            "pom.xml" | "build.gradle" | "build.gradle.kts" | "settings.gradle" | "settings.gradle.kts" => {
                Self::Java
            }
            "composer.json" => Self::Php,
            "mix.exs" => Self::Elixir,
            "pubspec.yaml" => Self::Dart,
            "global.json" | "Directory.Packages.props" => Self::DotNet,
            _ => {
                let (stem, extension) = name.rsplit_once('.')?;
                let of_project = matches!(extension, "csproj" | "fsproj" | "vbproj" | "sln" | "slnx");
                return (of_project && !stem.is_empty())
                    .then_some(Self::DotNet)
                    .or_else(|| (extension == "gemspec").then_some(Self::Ruby));
            }
        })
    }
}

/// The languages of a folder and of those right below it, each once.
pub(super) fn detect(dir: &Path) -> Vec<Language> {
    let mut found = Vec::new();
    for name in names(dir) {
        found.extend(Language::of_file(&name));
        let folder = dir.join(&name);
        let is_ours = !name.starts_with('.') && !OTHERS.contains(&name.as_str());
        if is_ours && std::fs::symlink_metadata(&folder).is_ok_and(|entry| entry.is_dir()) {
            found.extend(names(&folder).iter().filter_map(|name| Language::of_file(name)));
        }
    }
    found.sort();
    found.dedup();
    found
}

/// Names that are text, of files and folders alike.
fn names(dir: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(dir).into_iter().flatten().flatten().take(MAX_ENTRIES);
    entries.filter_map(|entry| entry.file_name().into_string().ok()).collect()
}
