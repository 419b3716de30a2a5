//! As much of the Messages API as a coding agent needs for a turn, with no model behind it: a user's lines
//! `RUN: command` become tool calls, one after the other; the last result is said back, anything else gets a greeting.

use serde_json::{Value, json};

/// The answer to a body that is no request.
pub const BAD_REQUEST: &str =
    r#"{"type":"error","error":{"type":"invalid_request_error","message":"The body is no request"}}"#;

const TOOL: &str = "Bash";
const MARK: &str = "RUN: ";
const GREETING: &str = "Hello from the fake internet.";

/// A request, read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Call {
    /// Answer as server-sent events.
    pub stream: bool,
    model: String,
    turn: Turn,
}

/// What the assistant does next.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Turn {
    Say(String),
    /// The next command, and how many came before it.
    Run(String, usize),
}

impl Call {
    /// Reads a request's body.
    pub fn parse(body: &[u8]) -> Option<Self> {
        let body: Value = serde_json::from_slice(body).ok()?;
        let messages = body.get("messages")?.as_array()?;
        let of_user: Vec<&Value> =
            messages.iter().filter(|message| message["role"] == "user").map(|one| &one["content"]).collect();
        // Side requests (a title, a summary) carry the same words and no tools.
        let has_tool =
            body["tools"].as_array().is_some_and(|all| all.iter().any(|tool| tool["name"] == TOOL));
        Some(Self {
            stream: body["stream"] == true,
            model: body["model"].as_str().unwrap_or("fake").to_owned(),
            turn: turn(&of_user, has_tool)?,
        })
    }

    /// The whole answer as one JSON value.
    pub fn message(&self) -> Value {
        let mut message = self.envelope();
        message["content"] = json!([self.block()]);
        message["stop_reason"] = self.stop_reason().into();
        message
    }

    /// The answer as the six events of a turn with one content block.
    pub fn events(&self) -> String {
        let (start, delta) = match &self.turn {
            Turn::Say(text) => {
                (json!({"type": "text", "text": ""}), json!({"type": "text_delta", "text": text}))
            }
            Turn::Run(..) => {
                let mut block = self.block();
                let input = block["input"].take().to_string();
                block["input"] = json!({});
                (block, json!({"type": "input_json_delta", "partial_json": input}))
            }
        };
        let end = json!({"stop_reason": self.stop_reason(), "stop_sequence": null});
        [
            json!({"type": "message_start", "message": self.envelope()}),
            json!({"type": "content_block_start", "index": 0, "content_block": start}),
            json!({"type": "content_block_delta", "index": 0, "delta": delta}),
            json!({"type": "content_block_stop", "index": 0}),
            json!({"type": "message_delta", "delta": end, "usage": {"output_tokens": 1}}),
            json!({"type": "message_stop"}),
        ]
        .iter()
        .map(|event| format!("event: {}\ndata: {event}\n\n", event["type"].as_str().unwrap_or_default()))
        .collect()
    }

    fn envelope(&self) -> Value {
        json!({
            "id": "msg_fake", "type": "message", "role": "assistant", "model": self.model, "content": [],
            "stop_reason": null, "stop_sequence": null, "usage": {"input_tokens": 1, "output_tokens": 1},
        })
    }

    fn block(&self) -> Value {
        match &self.turn {
            Turn::Say(text) => json!({"type": "text", "text": text}),
            Turn::Run(command, number) => {
                let input = json!({"command": command, "description": "Runs what was asked for"});
                // A client joins results to calls by it.
                let id = format!("toolu_fake{number}");
                json!({"type": "tool_use", "id": id, "name": TOOL, "input": input})
            }
        }
    }

    fn stop_reason(&self) -> &'static str {
        match self.turn {
            Turn::Say(_) => "end_turn",
            Turn::Run(..) => "tool_use",
        }
    }
}

/// As many results as there are, so many commands have run.
fn turn(of_user: &[&Value], has_tool: bool) -> Option<Turn> {
    let last = of_user.last()?;
    let lines = of_user.iter().flat_map(|content| texts(content)).flat_map(str::lines);
    let commands = lines.filter_map(|line| line.trim_start().strip_prefix(MARK));
    let results =
        of_user.iter().flat_map(|content| blocks(content)).filter(|block| block["type"] == "tool_result");
    let done = results.count();
    if let Some(next) = commands.map(str::trim).nth(done).filter(|_| has_tool) {
        return Some(Turn::Run(next.to_owned(), done));
    }
    // A client may put the results of several turns into one message.
    let result = blocks(last).filter(|block| block["type"] == "tool_result").last();
    Some(Turn::Say(match result {
        Some(block) => {
            let said = texts(&block["content"]).collect::<Vec<_>>().join("\n");
            format!("The command said: {said}")
        }
        None => GREETING.to_owned(),
    }))
}

/// A content's blocks; a plain text has none.
fn blocks(content: &Value) -> impl Iterator<Item = &Value> {
    content.as_array().into_iter().flatten()
}

/// A content's texts: itself, or those of its text blocks.
fn texts(content: &Value) -> impl Iterator<Item = &str> {
    content.as_str().into_iter().chain(blocks(content).filter_map(|block| block["text"].as_str()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call(content: Value, tools: Value) -> Call {
        let body = json!({"model": "m", "stream": true, "tools": tools,
            "messages": [{"role": "user", "content": content}]});
        Call::parse(body.to_string().as_bytes()).unwrap()
    }

    fn names(events: &str) -> Vec<&str> {
        events.lines().filter_map(|line| line.strip_prefix("event: ")).collect()
    }

    const SIX: [&str; 6] = [
        "message_start",
        "content_block_start",
        "content_block_delta",
        "content_block_stop",
        "message_delta",
        "message_stop",
    ];

    #[test]
    fn a_text_turn_is_the_six_events() {
        let call = call(json!("hello"), json!([]));
        assert_eq!(names(&call.events()), SIX);
        assert_eq!(call.message()["content"][0]["text"], GREETING);
        assert_eq!(call.message()["stop_reason"], "end_turn");
    }

    #[test]
    fn a_run_line_becomes_a_tool_call_whose_input_parses() {
        let content =
            json!([{"type": "text", "text": "note"}, {"type": "text", "text": "do\nRUN: id -u \"x\"\n"}]);
        let call = call(content, json!([{"name": "Bash"}]));
        let events = call.events();
        assert_eq!(names(&events), SIX);
        assert!(events.contains("\"stop_reason\":\"tool_use\""), "{events}");
        let delta =
            events.lines().find_map(|line| line.strip_prefix("data: ").filter(|l| l.contains("input_json")));
        let delta: Value = serde_json::from_str(delta.unwrap()).unwrap();
        let input: Value = serde_json::from_str(delta["delta"]["partial_json"].as_str().unwrap()).unwrap();
        assert_eq!(input["command"], "id -u \"x\"");
        assert_eq!(call.message()["content"][0]["input"]["command"], "id -u \"x\"");
    }

    #[test]
    fn a_side_request_without_tools_runs_nothing() {
        assert_eq!(call(json!("RUN: id"), json!([])).turn, Turn::Say(GREETING.to_owned()));
    }

    #[test]
    fn a_tool_s_result_ends_the_turn_even_if_it_looks_like_a_command() {
        let content = json!([{"type": "tool_result", "tool_use_id": "t", "content": "RUN: again"}]);
        let call = call(content, json!([{"name": "Bash"}]));
        assert_eq!(call.turn, Turn::Say("The command said: RUN: again".to_owned()));
    }

    #[test]
    fn several_commands_run_one_after_the_other() {
        let result = json!({"type": "tool_result", "tool_use_id": "t", "content": "done"});
        let turn_after = |results: usize| {
            let mut messages = vec![json!({"role": "user", "content": "RUN: one\nRUN: two"})];
            messages.extend((0..results).map(|_| json!({"role": "user", "content": [result]})));
            let body = json!({"model": "m", "tools": [{"name": "Bash"}], "messages": messages});
            Call::parse(body.to_string().as_bytes()).unwrap().turn
        };
        assert_eq!(turn_after(0), Turn::Run("one".to_owned(), 0));
        assert_eq!(turn_after(1), Turn::Run("two".to_owned(), 1));
        assert_eq!(turn_after(2), Turn::Say("The command said: done".to_owned()));
    }

    #[test]
    fn a_body_that_is_no_request_is_told_so() {
        assert_eq!(Call::parse(b"{}"), None);
        assert_eq!(Call::parse(b"\xff"), None);
    }
}
