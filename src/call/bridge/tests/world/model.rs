//! The model's part, and what no peer should do.

use super::*;

/// How much audio comes at once.
const SAMPLES: [usize; 8] = [1_600, 800, 4_000, 160, 1_599, 8_000, 1, 1_601];

impl World<'_> {
    pub(super) fn model(&mut self, step: Step) -> Result<(), String> {
        if !self.has_model {
            return Ok(());
        }
        match step {
            Step::Model(arg) => self.natural(arg),
            Step::Settle => match self.unsettled.pop_front() {
                Some(message) => {
                    self.models_turns = message == ToModel::Turns(Turns::Models);
                    self.feed(ModelEvent::Configured)
                }
                None => Ok(()),
            },
            Step::RefuseTurns => match self.unsettled.front() {
                Some(ToModel::Turns(_)) => {
                    self.unsettled.pop_front();
                    self.refuse(Some(Request::Turns), ErrorKind::Harmless)
                }
                _ => Ok(()),
            },
            Step::RefuseResponse(arg) => match self.asked.take() {
                Some(_) if arg % 2 == 0 => self.refuse(Some(Request::Respond), ErrorKind::Busy),
                Some(_) => self.refuse(Some(Request::Respond), ErrorKind::Harmless),
                None => Ok(()),
            },
            Step::Begin => self.begin(),
            Step::Say(arg) => self.say(SAMPLES[usize::from(arg) % SAMPLES.len()]),
            Step::Word => self.word(),
            Step::NextItem => {
                if let Some(talk) = &mut self.talk {
                    talk.item = None;
                }
                Ok(())
            }
            Step::AudioDone => match self.current() {
                Some((_, item)) => self.feed(ModelEvent::AudioDone { item: &name(item) }),
                None => Ok(()),
            },
            Step::WordsDone => self.words_done(),
            Step::Finish(arg) => self.finish(arg),
            Step::CallTool(arg) => self.call_tool(arg),
            _ => Ok(()),
        }
    }

    /// What a model would do next.
    pub(super) fn natural(&mut self, arg: u8) -> Result<(), String> {
        if !self.unsettled.is_empty() {
            return self.model(Step::Settle);
        }
        if self.talk.is_none() {
            return self.begin();
        }
        match arg % 8 {
            0..=3 => {
                self.word()?;
                self.say(SAMPLES[usize::from(arg / 8) % SAMPLES.len()])
            }
            4 => {
                self.words_done()?;
                self.model(Step::AudioDone)
            }
            5 => self.call_tool(arg / 8),
            _ => self.finish(0),
        }
    }

    fn refuse(&mut self, about: Option<Request>, kind: ErrorKind) -> Result<(), String> {
        let message = "no".into();
        self.feed(ModelEvent::Error {
            about,
            kind,
            message,
        })
    }

    fn begin(&mut self) -> Result<(), String> {
        if self.talk.is_some() || !(self.answers || self.asked.is_some()) {
            return Ok(());
        }
        let asked = if std::mem::take(&mut self.answers) {
            None
        } else {
            self.asked.take()
        };
        let aside = asked.as_ref().is_some_and(|respond| respond.aside);
        let instructions = asked.and_then(|respond| respond.instructions);
        let id = format!("r{}", self.responses);
        self.responses += 1;
        self.talk = Some(Talk {
            id: id.clone(),
            greeting: instructions.is_some_and(|text| text.contains(GREETING)),
            cancelled: false,
            item: None,
            text: String::new(),
        });
        if aside {
            return self.feed(ModelEvent::AsideStarted { response: &id });
        }
        self.feed(ModelEvent::ResponseStarted { response: &id })
    }

    /// The response under way and its item, which begins if there is none.
    fn current(&mut self) -> Option<(String, u8)> {
        let talk = self.talk.as_mut()?;
        let item = *talk.item.get_or_insert_with(|| {
            talk.text.clear();
            self.items += 1;
            self.owners.insert(self.items - 1, talk.id.clone());
            self.items - 1
        });
        Some((talk.id.clone(), item))
    }

    fn say(&mut self, samples: usize) -> Result<(), String> {
        let Some((response, item)) = self.current() else {
            return Ok(());
        };
        self.feed(ModelEvent::Audio {
            response: &response,
            item: &name(item),
            audio: audio_of(item, samples),
        })
    }

    fn word(&mut self) -> Result<(), String> {
        let Some((_, item)) = self.current() else {
            return Ok(());
        };
        self.words += 1;
        let mut text = format!("i{item}w{} ", self.words);
        if let Some(talk) = &mut self.talk {
            if talk.greeting && talk.text.is_empty() {
                text = format!("{GREETING} {text}");
            }
            talk.text.push_str(&text);
        }
        self.feed(words(&name(item), &text))
    }

    fn words_done(&mut self) -> Result<(), String> {
        let Some((_, item)) = self.current() else {
            return Ok(());
        };
        let text = self.talk.as_ref().map(|talk| talk.text.clone());
        self.feed(ModelEvent::WordsDone {
            item: &name(item),
            text: text.unwrap_or_default().into(),
        })
    }

    fn finish(&mut self, arg: u8) -> Result<(), String> {
        if self.talk.as_ref().is_some_and(|talk| talk.greeting) && arg % 16 != 1 {
            self.word()?;
            self.say(1_600)?;
        }
        if arg.is_multiple_of(4) && self.talk.as_ref().is_some_and(|talk| talk.item.is_some()) {
            self.words_done()?;
            self.model(Step::AudioDone)?;
        }
        let Some(talk) = self.talk.take() else {
            return Ok(());
        };
        let ending = match arg % 16 {
            _ if talk.cancelled => ResponseEnding::Cancelled,
            2 => ResponseEnding::Incomplete,
            3 => ResponseEnding::Failed {
                fatal: false,
                message: "overloaded".into(),
            },
            _ => ResponseEnding::Completed,
        };
        self.feed(ModelEvent::ResponseEnded {
            response: &talk.id,
            ending,
        })
    }

    fn call_tool(&mut self, arg: u8) -> Result<(), String> {
        let Some((response, _)) = self.current() else {
            return Ok(());
        };
        let (name, arguments) = match arg % 8 {
            0 => ("end_call", END_CALL),
            4 => (
                "end_call",
                r#"{"summary":"Left a message.","outcome":"voicemail"}"#,
            ),
            1 => ("end_call", "{}"),
            7 => ("wait", r#"{"reason":"music"}"#),
            5 | 6 => ("press_keys", r#"{"digits":"1w"}"#),
            2 => ("ask_host", r#"{"question":"When?"}"#),
            _ => ("note", r#"{"text":"Tuesday"}"#),
        };
        self.words += 1;
        let call = format!("call{}", self.words);
        self.feed(ModelEvent::ToolCall {
            response: &response,
            call: &call,
            name,
            arguments: arguments.into(),
        })
    }

    pub(super) fn junk(&mut self, kind: u8, arg: u8) -> Result<(), String> {
        // Names of what was, is, or never will be.
        let response = match arg % 4 {
            0 => self.observer.active.clone().unwrap_or("r999".into()),
            back => format!("r{}", self.responses.saturating_sub(back.into())),
        };
        let active = self.observer.active.clone();
        let mixes = matches!(kind % 24, 0 | 1);
        let owner = if mixes {
            Some(&response)
        } else {
            active.as_ref()
        };
        let item = self.junk_item(arg / 4 % 4, owner.cloned().as_ref());
        let (response, id) = (&*response, &*name(item));
        self.words += 1;
        let text = format!("i{item}w{} ", self.words);
        match kind % 24 {
            0 | 1 => self.feed(ModelEvent::Audio {
                response,
                item: id,
                audio: audio_of(item, SAMPLES[usize::from(arg / 16) % SAMPLES.len()]),
            }),
            // Items get mixed up.
            2 | 3 => self.feed(ModelEvent::Audio {
                response: active.as_deref().unwrap_or(response),
                item: id,
                audio: audio_of(item, SAMPLES[usize::from(arg / 16) % SAMPLES.len()]),
            }),
            4 => self.feed(ModelEvent::Audio {
                response: active.as_deref().unwrap_or(response),
                item: id,
                audio: audio_of(item, 0),
            }),
            5 => self.feed(words(id, &text)),
            6 => self.feed(ModelEvent::WordsDone {
                item: id,
                text: text.as_str().into(),
            }),
            7 => self.feed(ModelEvent::AudioDone { item: id }),
            8 => {
                let twice = active.filter(|_| arg.is_multiple_of(2));
                if twice.is_none() {
                    self.model(Step::NextItem)?;
                }
                let response = twice.unwrap_or_else(|| format!("r{}", 1_000 + self.words));
                let response = response.as_str();
                self.feed(ModelEvent::ResponseStarted { response })
            }
            9 => self.feed(ended(response)),
            10 => self.feed(ModelEvent::ResponseEnded {
                response,
                ending: ResponseEnding::Failed {
                    fatal: arg > 240,
                    message: "overloaded".into(),
                },
            }),
            11 => self.feed(ModelEvent::Configured),
            12 => {
                let abouts = [
                    Request::Respond,
                    Request::Turns,
                    Request::Cancel,
                    Request::Truncate,
                ];
                let kinds = [ErrorKind::Busy, ErrorKind::Harmless];
                let about = abouts[usize::from(arg) % 4];
                self.refuse(Some(about), kinds[usize::from(arg / 4) % 2])
            }
            13 | 14 => {
                let made_up = Mark {
                    generation: u32::from(arg % 4),
                    sequence: u32::from(arg / 4),
                };
                let old = self.old_marks.get(usize::from(arg) % 16).copied();
                self.feed(CarrierEvent::Played(old.unwrap_or(made_up)))
            }
            15 => self.feed(ModelEvent::SpeechStarted),
            16 => self.feed(ModelEvent::SpeechStopped),
            17 => self.feed(ModelEvent::Committed { item: id }),
            18 => self.feed(ModelEvent::CallerWordsFailed { item: id }),
            19 => self.feed(tool(response, "end_call", END_CALL)),
            20 => self.feed(tool(active.as_deref().unwrap_or(response), "dance", "{")),
            21 => self.feed(CarrierEvent::Audio {
                at: ms(u64::MAX / u64::from(arg % 4 + 1)),
                audio: audio_of(item, SAMPLES[usize::from(arg / 4) % SAMPLES.len()]),
            }),
            22 if arg > 230 => self.feed(ModelEvent::Lost {
                why: "It is gone.",
                returns: false,
            }),
            22 if arg > 220 => self.refuse(None, ErrorKind::Fatal),
            22 => self.feed(CarrierEvent::Audio {
                at: ms(0),
                audio: audio_of(item, 0),
            }),
            _ => self.feed(Input::Tick),
        }
    }
}

impl World<'_> {
    /// Sessions come and go.
    pub(super) fn sessions(&mut self, step: Step) -> Result<(), String> {
        match step {
            Step::LosesModel(kind) if self.has_model => {
                self.has_model = false;
                self.forget();
                let (why, returns) = ("It is gone.", kind > 20);
                self.feed(ModelEvent::Lost { why, returns })
            }
            Step::OpensModel(kind) if self.opening => {
                self.opening = false;
                let why = "It does not answer.";
                match kind {
                    0..=5 => self.feed(ModelEvent::NotOpened {
                        why,
                        returns: false,
                    }),
                    6..=80 => self.feed(ModelEvent::NotOpened { why, returns: true }),
                    _ => self.feed(ModelEvent::Offered),
                }
            }
            Step::Flaps => {
                for part in [
                    Step::LosesModel(255),
                    Step::OpensModel(255),
                    Step::Wait(100),
                    Step::LosesModel(255),
                    Step::Wait(300),
                    Step::OpensModel(255),
                ] {
                    self.step(part)?;
                }
                Ok(())
            }
            _ => Ok(()),
        }
    }
}

impl World<'_> {
    /// An item with a wrong name, but none of another response: names are unique in a conversation,
    /// and a bridge does not remember all that it has heard.
    fn junk_item(&mut self, back: u8, response: Option<&String>) -> u8 {
        let item = self.items.saturating_sub(back);
        if back == 0 || self.owners.get(&item) != response {
            self.junk_items = self.junk_items.saturating_add(1);
            return self.junk_items;
        }
        item
    }
}

fn name(item: u8) -> String {
    format!("i{item}")
}
