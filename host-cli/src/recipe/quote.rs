//! Values as a Dockerfile takes them: nothing in one may end its instruction, expand a variable or begin a heredoc.
//! Both builders are meant, the classic one and BuildKit.

use super::RecipeError;

/// BuildKit and the classic builder read a line into a buffer of 64 KiB.
pub const MAX_LINE: usize = 65_535;

/// A value in double quotes, for ENV, LABEL and ARG.
///
/// # Errors
/// [`RecipeError::Control`]: these instructions know no escape for a line break.
pub fn word(key: &str, value: &str) -> Result<String, RecipeError> {
    if value.chars().any(char::is_control) {
        return Err(RecipeError::Control { key: key.to_owned() });
    }
    let mut quoted = String::with_capacity(value.len() + 2);
    quoted.push('"');
    for c in value.chars() {
        if matches!(c, '\\' | '"' | '$') {
            quoted.push('\\');
        }
        quoted.push(c);
    }
    quoted.push('"');
    Ok(quoted)
}

/// Words as the JSON form of RUN and COPY has them.
pub fn json(words: &[&str]) -> String {
    let words: Vec<String> = words.iter().map(|word| json_word(word)).collect();
    format!("[{}]", words.join(", "))
}

/// A JSON text in which `<` is escaped as well: BuildKit looks for heredocs before it knows that a line is JSON.
fn json_word(word: &str) -> String {
    serde_json::Value::from(word).to_string().replace('<', "\\u003c")
}
