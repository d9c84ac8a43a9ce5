//! The observer's book of what goes between the model and the host.

use super::observer::ensure;
use super::*;

/// As long as the world's host may take.
const ASK_HOST: Duration = Duration::from_secs(6);

/// Questions that were asked, and what is owed for them.
#[derive(Debug, Default)]
pub(super) struct Questions {
    asked: usize,
    /// The one that waits, and until when at the latest.
    open: Option<(String, Duration)>,
    /// Outputs of functions that must come now.
    owed: usize,
    /// There is no model that could be told; the next one is.
    lost: bool,
    now: Duration,
}

impl Questions {
    pub(super) fn fed(&mut self, now: Duration, input: &Input<'_>) {
        self.now = now;
        match input {
            Input::Command(Command::Answer { question, .. }) => {
                self.closes(question);
            }
            Input::Model(ModelEvent::Lost { .. }) => self.lost = true,
            _ => {}
        }
    }

    /// The model is gone.
    pub(super) fn lost(&mut self) {
        self.lost = true;
    }

    fn closes(&mut self, id: &str) -> bool {
        let closed = self.open.take_if(|(open, _)| open == id).is_some();
        self.owed += usize::from(closed);
        closed
    }

    pub(super) fn came(&mut self, output: &Output, disclosed: bool) -> Result<(), String> {
        match output {
            Output::Publish(Change::Asked { id, .. }) => {
                let before = self.open.replace((id.clone(), self.now + ASK_HOST));
                ensure!(before.is_none(), "two questions at once");
                self.asked += 1;
                ensure!(
                    *id == format!("q{}", self.asked),
                    "{id} comes {}th",
                    self.asked
                );
                ensure!(self.asked <= 5, "too many questions");
                ensure!(disclosed, "a question before the disclosure");
            }
            Output::Publish(Change::NotAnswered { id }) => {
                ensure!(self.closes(id), "{id} was not open");
            }
            Output::Model(ToModel::ToolOutput { .. }) => self.owed = self.owed.saturating_sub(1),
            Output::TakeModel => self.lost = false,
            Output::Model(ToModel::Tell(text))
                if text.contains("ask_host has returned")
                    || text.contains("called your function ask_host") =>
            {
                self.owed = self.owed.saturating_sub(1);
            }
            Output::Model(ToModel::Tell(text)) => {
                let from_host = text.contains("<instruction>") || text.contains("<answer>");
                ensure!(
                    disclosed || !from_host,
                    "told before the disclosure: {text}"
                );
            }
            _ => {}
        }
        Ok(())
    }

    /// Everything that follows from what was fed has come out.
    pub(super) fn settled(&mut self) -> Result<(), String> {
        ensure!(
            self.lost || self.owed == 0,
            "an answer does not reach the model"
        );
        let late = self.open.as_ref().is_some_and(|(_, by)| *by <= self.now);
        ensure!(!late, "{:?} waits too long", self.open);
        Ok(())
    }
}
