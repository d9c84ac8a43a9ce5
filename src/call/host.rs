//! What the host may do to a live call: answer a question of the agent on the line, and instruct it.
//!
//! [`Questions`] is the part of a call's record that says which answers are still wanted; the
//! conversation itself has its own side of it in `bridge::host`.

use chrono::{DateTime, Utc};

use super::snapshot::PendingQuestion;

/// Instructions of one call; who sends more than this should have called otherwise.
pub const INSTRUCTIONS: usize = 20;

/// Why the host is not heard. The text is for the agent.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HostError {
    /// Nobody is on the line any more.
    #[error(
        "The call is over, so nobody on the line can be told anything. phone_call_status has its outcome."
    )]
    Over,
    /// There is no such question.
    #[error("This call has no question {id:?}. {}", .open.as_ref().map_or_else(
        || "None is waiting for an answer now; use phone_call_instruct to tell the agent something.".to_owned(),
        |open| format!("The one that waits for an answer is {open:?}."),
    ))]
    NoSuchQuestion {
        /// What was named.
        id: String,
        /// The question that waits.
        open: Option<String>,
    },
    /// It has an answer, and this is another.
    #[error(
        "Question {0:?} was answered before, with other words, and the agent has been told those. Use phone_call_instruct \
         to correct or add something."
    )]
    Answered(String),
    /// Enough was said.
    #[error(
        "The agent on the line was given {INSTRUCTIONS} instructions in this call, which is the most. Let it finish, or \
         end the call with phone_call_hangup."
    )]
    TooMany,
    /// The driver does not take it.
    #[error("The call does not take this at the moment: look at phone_call_status, and try again.")]
    Busy,
}

/// The questions of a call, and how each stands.
#[derive(Debug, Default)]
pub struct Questions {
    asked: Vec<Question>,
    instructions: usize,
}

#[derive(Debug)]
struct Question {
    shown: PendingQuestion,
    state: State,
}

#[derive(Debug, PartialEq, Eq)]
enum State {
    Open,
    /// Its time is over; an answer is still welcome.
    Late,
    Answered(String),
}

impl Questions {
    /// A new question.
    pub fn ask(&mut self, id: String, text: String, asked_at: DateTime<Utc>) {
        let shown = PendingQuestion { id, text, asked_at };
        let state = State::Open;
        self.asked.push(Question { shown, state });
    }

    /// The time of a question is over. Returns whether it was open.
    pub fn expire(&mut self, id: &str) -> bool {
        let open =
            |question: &&mut Question| question.shown.id == id && question.state == State::Open;
        let found = self.asked.iter_mut().find(open);
        found.is_some_and(|question| {
            question.state = State::Late;
            true
        })
    }

    /// The question that waits for its answer.
    pub fn open(&self) -> Option<&PendingQuestion> {
        let open = self.asked.iter().find(|asked| asked.state == State::Open);
        open.map(|question| &question.shown)
    }

    /// Answers a question, if `deliver` can bring the answer to the line. Returns whether that
    /// changes anything: the same answer once more does not.
    ///
    /// # Errors
    ///
    /// [`HostError`]; the question is as it was, then.
    pub fn answer(
        &mut self,
        id: &str,
        text: &str,
        deliver: impl FnOnce() -> bool,
    ) -> Result<bool, HostError> {
        let open = self.open().map(|open| open.id.clone());
        let question = self.asked.iter_mut().find(|asked| asked.shown.id == id);
        let Some(question) = question else {
            let id = id.to_owned();
            return Err(HostError::NoSuchQuestion { id, open });
        };
        match &question.state {
            State::Answered(before) if before == text => return Ok(false),
            State::Answered(_) => return Err(HostError::Answered(id.to_owned())),
            State::Open | State::Late => {}
        }
        if !deliver() {
            return Err(HostError::Busy);
        }
        question.state = State::Answered(text.to_owned());
        Ok(true)
    }

    /// Counts an instruction, if `deliver` can bring it to the line.
    ///
    /// # Errors
    ///
    /// [`HostError`]; it does not count, then.
    pub fn instruct(&mut self, deliver: impl FnOnce() -> bool) -> Result<(), HostError> {
        if self.instructions >= INSTRUCTIONS {
            return Err(HostError::TooMany);
        }
        if !deliver() {
            return Err(HostError::Busy);
        }
        self.instructions += 1;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked() -> Questions {
        let mut questions = Questions::default();
        let now = DateTime::UNIX_EPOCH;
        questions.ask("q1".into(), "Morning or afternoon?".into(), now);
        questions
    }

    #[test]
    fn a_question_is_answered_once() {
        let mut questions = asked();
        assert_eq!(questions.open().map(|open| open.id.as_str()), Some("q1"));
        let undelivered = questions.answer("q1", "Morning.", || false);
        assert_eq!(undelivered, Err(HostError::Busy));
        assert!(questions.open().is_some(), "it still waits");
        assert_eq!(questions.answer("q1", "Morning.", || true), Ok(true));
        assert_eq!(questions.open(), None);
        let deliver = || panic!("delivered twice");
        assert_eq!(questions.answer("q1", "Morning.", deliver), Ok(false));
        let other = questions.answer("q1", "Afternoon.", deliver);
        assert_eq!(other, Err(HostError::Answered("q1".into())));
    }

    #[test]
    fn a_late_answer_is_still_welcome() {
        let mut questions = asked();
        assert!(questions.expire("q1") && !questions.expire("q1"));
        assert_eq!(questions.open(), None);
        assert_eq!(questions.answer("q1", "Morning.", || true), Ok(true));
        assert!(!questions.expire("q1"));
    }

    #[test]
    fn a_wrong_id_is_explained() {
        let mut questions = asked();
        let told = |questions: &mut Questions| {
            let error = questions.answer("q7", "Morning.", || true).unwrap_err();
            error.to_string()
        };
        let with_open = told(&mut questions);
        assert!(with_open.contains("\"q7\"") && with_open.contains("\"q1\""));
        questions.expire("q1");
        assert!(told(&mut questions).contains("phone_call_instruct"));
    }

    #[test]
    fn so_many_instructions_and_no_more() {
        let mut questions = Questions::default();
        assert_eq!(questions.instruct(|| false), Err(HostError::Busy));
        for _ in 0..INSTRUCTIONS {
            assert_eq!(questions.instruct(|| true), Ok(()));
        }
        assert_eq!(questions.instruct(|| true), Err(HostError::TooMany));
    }
}
