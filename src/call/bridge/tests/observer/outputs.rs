//! What must hold of each thing that comes out.

use super::*;

impl Observer {
    pub(super) fn audio_sent(&mut self, audio: &Audio) -> Result<(), String> {
        let samples = audio.samples();
        let item = super::world::tag(audio);
        self.since_mark += samples;
        ensure!(
            self.since_mark <= MARK_EVERY,
            "{} samples without a mark",
            self.since_mark
        );
        self.stream.push_back(Sent::Audio(item, samples));
        let seen = self.items.entry(item).or_default();
        ensure!(!seen.gone, "audio of an item that was taken back: i{item}");
        if self.passing.is_none() && self.asides.contains(&seen.response) {
            ensure!(
                self.lost && self.disclosed,
                "beside the conversation: i{item}"
            );
            // The same audio, whenever it is played.
            if self.aside_played.replace(seen.response.clone()).is_none() {
                (seen.sent, seen.confirmed) = (0, 0);
            }
        } else if self.disclosed
            && self.mailbox
            && self.passing.is_none()
            && self.greeting.as_ref() == Some(&seen.response)
        {
            if !std::mem::replace(&mut self.again, true) {
                for seen in self.items.values_mut() {
                    (seen.sent, seen.confirmed) = (0, 0);
                }
            }
        } else if self.disclosed {
            let Some((passing, response, left)) = &mut self.passing else {
                return Err(format!("audio out of nowhere: i{item}"));
            };
            ensure!(
                *passing == item && *left >= samples,
                "audio of another item: i{item}"
            );
            ensure!(
                !self.dead.contains(response),
                "audio of {response}, which was cut off"
            );
            ensure!(
                self.active.as_ref() == Some(response),
                "audio of {response}, which is over"
            );
            *left -= samples;
        } else if self.greeting.as_ref() != Some(&seen.response) {
            let first = self.greeting.replace(seen.response.clone());
            ensure!(
                first.is_none() && self.passing.is_none(),
                "audio before the disclosure: i{item}"
            );
            ensure!(
                self.disclosures.contains(&seen.response),
                "a greeting that does not disclose: i{item}"
            );
            for seen in self.items.values_mut() {
                (seen.sent, seen.confirmed) = (0, 0);
            }
        }
        let seen = self.items.entry(item).or_default();
        seen.sent += samples;
        seen.aloud = true;
        Ok(())
    }

    pub(super) fn mark_sent(&mut self, mark: Mark) -> Result<(), String> {
        ensure!(
            mark.generation >= self.generation,
            "a mark of an old generation: {mark:?}"
        );
        let latest = self.latest_mark.replace(mark);
        ensure!(
            latest.is_none_or(|latest| latest < mark && latest.sequence < mark.sequence),
            "marks do not rise: {mark:?}"
        );
        self.since_mark = 0;
        self.stream.push_back(Sent::Mark(mark));
        Ok(())
    }

    pub(super) fn model_told(&mut self, to: &ToModel) -> Result<(), String> {
        ensure!(!self.lost, "said to a model that is gone: {to:?}");
        match to {
            ToModel::Recall(Recall::Said(text)) => {
                for word in text.split_whitespace() {
                    let item = word_item(word);
                    let heard = item.and_then(|item| self.items.get(&item));
                    ensure!(
                        heard.is_none_or(|seen| seen.aloud),
                        "recalled, though never said: {text}"
                    );
                }
            }
            ToModel::Respond(respond) => {
                let words = respond.instructions.as_deref().unwrap_or_default();
                self.ending |= words.to_lowercase().contains("goodbye");

                let again = self.asked.take().map_or(Ok(0), |(before, since, times)| {
                    let repeats = before == *respond && times == 0;
                    let late = since + SWALLOWED <= self.now;
                    ensure!(repeats && late, "asked for two responses at once");
                    Ok(times + 1)
                })?;
                let active = &self.active;
                ensure!(active.is_none(), "asked for a response during {active:?}");
                let asked = (respond.clone(), self.now, again);
                self.asked = (!respond.aside).then_some(asked);
            }
            ToModel::Cancel => {
                let active = self.active.clone();
                ensure!(active.is_some(), "cancelled without a response");
                self.dead.extend(active);
            }
            ToModel::Truncate { item, heard_ms } => {
                let seen = self.items.entry(item_number(item)).or_default();
                let heard = heard_ms * 8;
                ensure!(!seen.foreign, "truncated in another session: {seen:?}");
                ensure!(
                    heard <= seen.received,
                    "truncated beyond what was received: {seen:?}"
                );
                ensure!(
                    heard <= seen.confirmed,
                    "truncated beyond what was heard: {seen:?}"
                );
                ensure!(
                    !seen.complete || seen.confirmed < seen.received,
                    "truncated, though heard to its end: {seen:?}"
                );
                ensure!(!seen.gone, "truncated twice: {seen:?}");
                seen.gone = true;
            }
            ToModel::Delete { item } => {
                let seen = self.items.entry(item_number(item)).or_default();
                ensure!(!seen.foreign, "deleted in another session: {seen:?}");
                ensure!(
                    seen.confirmed < 8,
                    "deleted, though heard in part: {seen:?}"
                );
                ensure!(!seen.gone, "deleted twice: {seen:?}");
                ensure!(
                    self.disclosed || !self.well_said,
                    "a good greeting is thrown away"
                );
                seen.gone = true;
            }
            _ => {}
        }
        Ok(())
    }

    pub(super) fn line(&mut self, slot: u32, role: Role, text: &str) -> Result<(), String> {
        let item = text.split_whitespace().find_map(word_item);
        let owner = (role, item.filter(|_| role == Role::Agent));
        let known = *self.lines.entry(slot).or_insert(owner);
        ensure!(known == owner, "line {slot} belongs to {known:?}: {text}");
        if role != Role::Agent {
            let pressed = text.starts_with("Keys pressed by the agent");
            ensure!(!pressed || self.after_keys, "nothing says so: {text}");
            return Ok(());
        }
        let interrupted = text.ends_with('—');
        ensure!(
            !interrupted || self.cut || self.over_soon(),
            "nobody interrupted: {text}"
        );
        if !self.disclosed || self.again && text.contains(GREETING) {
            // The greeting is one, whatever items the model made it of; its words have no places.
            ensure!(
                interrupted && text == "—" || !interrupted && self.greeting_was_heard(),
                "nobody heard all of the greeting: {text}"
            );
            return Ok(());
        }
        for word in text.split_whitespace() {
            let Some(item) = word_item(word) else {
                continue;
            };
            let seen = self.items.entry(item).or_default();
            let word = word.trim_end_matches('—');
            if self.aside_words.contains(word) {
                continue;
            }
            let at = self.words.get(word).copied().unwrap_or(0);
            let aloud = if interrupted {
                at < seen.confirmed
            } else {
                seen.confirmed > 0 && seen.confirmed == seen.sent
            };
            ensure!(aloud, "nobody heard {word:?} of {text:?}: {seen:?}");
        }
        Ok(())
    }

    /// The last lines come right before the hang-up; [`Self::settled`] checks that it does come.
    fn over_soon(&mut self) -> bool {
        self.must_end = true;
        true
    }

    pub(super) fn disclosure(&mut self) -> Result<(), String> {
        ensure!(!self.disclosed, "disclosed twice");
        ensure!(self.greeting_was_heard(), "disclosed, but not in full");
        self.disclosed = true;
        Ok(())
    }

    pub(super) fn greeting_was_heard(&self) -> bool {
        self.greeting.as_ref().is_some_and(|greeting| {
            let mut items = self
                .items
                .values()
                .filter(|seen| seen.response == *greeting);
            items.all(|seen| seen.received == seen.confirmed)
        })
    }
}
