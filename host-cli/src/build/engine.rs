//! A build on the engine: what it says while it goes on, and which step it failed at.

use std::collections::{HashMap, VecDeque};

use bollard::errors::Error;
use bollard::models::BuildInfo;
use bollard::query_parameters::BuildImageOptions;
use futures_util::StreamExt;

use super::{BuildError, LABEL, Options};
use crate::docker::{DockerError, Engine, image};
use crate::output::{self, Progress};

/// How many of a failed step's last lines are shown.
const TAIL: usize = 20;
/// A line past this many bytes is cut into several.
const MAX_LINE: usize = 64 << 10;

/// A step that failed. Its last lines were shown.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("The image is not built: {step} {why}; mend it and run clawker build")]
pub struct StepFailed {
    /// The key that the step comes from, or the Dockerfile's instruction.
    pub step: String,
    /// With which exit code, or Docker's own words.
    pub why: String,
}

/// Builds and tags; the image then has the hash as its label.
pub(super) async fn build(
    engine: &Engine,
    context: Vec<u8>,
    (reference, hash): (&str, &str),
    keys: &[String],
    options: &Options,
    progress: &dyn Progress,
) -> Result<(), BuildError> {
    let args: HashMap<_, _> = options.args.clone().into_iter().collect();
    let asked = BuildImageOptions {
        dockerfile: "Dockerfile".to_owned(),
        t: Some(reference.to_owned()),
        nocache: options.no_cache,
        pull: options.pull.then(|| "true".to_owned()),
        rm: true,
        forcerm: true,
        buildargs: Some(args),
        ..Default::default()
    };
    // The base of our own recipe was pulled already, by name and within a time limit.
    let asked = if keys.first().is_some_and(|key| key == "build.image") {
        BuildImageOptions { pull: None, ..asked }
    } else {
        asked
    };
    let body = bollard::body_full(context.into());
    let mut stream = engine.api.build_image(asked, None, Some(body));
    let mut heard = Heard::default();
    while let Some(item) = stream.next().await {
        match item {
            Ok(BuildInfo { error_detail: Some(detail), .. }) => {
                return Err(heard.failed(&detail.message.unwrap_or_default(), keys).into());
            }
            Ok(BuildInfo { stream: Some(text), .. }) => heard.put(&text, keys, |line| progress.step(line)),
            Ok(_) => {}
            Err(Error::DockerStreamError { error }) => return Err(heard.failed(&error, keys).into()),
            Err(error) => return Err(DockerError::from(error).into()),
        }
    }
    // The builder's own "Successfully built" is a line that a step can print as well.
    if image::label(engine, reference, LABEL).await?.as_deref() != Some(hash) {
        return Err(heard.failed("the connection to Docker broke off", keys).into());
    }
    Ok(())
}

/// What the builder has said so far.
#[derive(Debug, Default)]
pub(super) struct Heard {
    /// A line that has not ended.
    open: String,
    /// The step: its number, how many there are, and its instruction.
    step: Option<(usize, usize, String)>,
    /// Its last lines.
    tail: VecDeque<String>,
}

impl Heard {
    /// Takes a piece of text; each whole line is passed on.
    pub(super) fn put(&mut self, text: &str, keys: &[String], mut tell: impl FnMut(&str)) {
        self.open.push_str(text);
        if self.open.len() > MAX_LINE {
            self.open.push('\n');
        }
        while let Some(end) = self.open.find('\n') {
            let line: String = self.open.drain(..=end).collect();
            // Programs that draw progress bars go back to the line's start.
            let line = line.trim_end().rsplit('\r').next().unwrap_or_default().to_owned();
            if line.is_empty() || is_builder_s_own(&line) {
                continue;
            }
            match step(&line) {
                Some(step) => {
                    self.step = Some(step);
                    self.tail.clear();
                    tell(&self.head(keys));
                }
                None => {
                    tell(&line);
                    self.line(line);
                }
            }
        }
    }

    fn line(&mut self, line: String) {
        self.tail.push_back(line);
        if self.tail.len() > TAIL {
            self.tail.pop_front();
        }
    }

    #[cfg(test)]
    pub(super) fn tail(&self) -> Vec<&str> {
        self.tail.iter().map(String::as_str).collect()
    }

    /// Shows what is known of the step, and says why it failed.
    fn failed(mut self, why: &str, keys: &[String]) -> StepFailed {
        self.put("\n", keys, |_| ());
        let step = self.name(keys);
        if self.step.is_some() {
            output::complain(&format!("{} failed; its last lines:", self.head(keys)));
        }
        self.tail.iter().for_each(|line| output::complain(&format!("  {line}")));
        StepFailed { step, why: reason(why) }
    }

    /// The step as it begins.
    fn head(&self, keys: &[String]) -> String {
        let (number, of) = self.step.as_ref().map_or((0, 0), |(number, of, _)| (*number, *of));
        format!("Step {number}/{of}: {}", self.name(keys))
    }

    /// The step by its key: our instructions are the last ones.
    pub(super) fn name(&self, keys: &[String]) -> String {
        let Some((number, of, instruction)) = &self.step else { return "the Dockerfile".to_owned() };
        let from_end = of.saturating_sub(*number);
        let index = keys.len().checked_sub(from_end + 1);
        let known = index.and_then(|index| keys.get(index));
        known.cloned().unwrap_or_else(|| {
            format!("the Dockerfile's {}", instruction.chars().take(80).collect::<String>())
        })
    }
}

/// Layers and containers that come and go, which tell people nothing.
fn is_builder_s_own(line: &str) -> bool {
    line.starts_with(" ---> ") || line.starts_with("Removing intermediate container ")
}

/// `Step 3/8 : RUN ls`
fn step(line: &str) -> Option<(usize, usize, String)> {
    let (count, instruction) = line.strip_prefix("Step ")?.split_once(" : ")?;
    let (number, of) = count.split_once('/')?;
    Some((number.parse().ok()?, of.parse().ok()?, instruction.to_owned()))
}

/// Docker repeats the whole command before the code.
pub(super) fn reason(why: &str) -> String {
    match why.rsplit_once("returned a non-zero code: ") {
        Some((_, code)) => format!("failed with exit code {}", code.trim()),
        None => {
            let words: Vec<&str> = why.split_whitespace().collect();
            format!("failed ({})", words.join(" ").chars().take(300).collect::<String>())
        }
    }
}
