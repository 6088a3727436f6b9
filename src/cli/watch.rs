//! Whoever looks on while a run goes on: the block on a terminal, lines elsewhere, NDJSON.
//!
//! All of it folds the same facts, and none of it can stop the run: a stdout that nobody reads
//! any more is left alone. A resumed run tells its past first; that is folded and not shown.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde_json::{Map, Value, json};

use super::clock;
use super::history::History;
use super::settings::{ProgressChoice, Show};
use super::ui::Ui;
use crate::driver::Told;
use crate::engine::Event;
use crate::plan::{OnExceed, Schedule};
use crate::report::{self, EventStream, Fact, Notice, NoticeKind, Progress, Tally};
use crate::units::{Timestamp, Wei};

/// Between two looks at the clock.
const TICK: Duration = Duration::from_millis(250);
/// Between two drawings of the block: events come faster than eyes.
const DRAW: Duration = Duration::from_millis(100);

/// What a run is watched with.
#[derive(Clone, Debug)]
pub struct Manner {
    /// How progress is shown; `Auto` is settled already.
    pub progress: ProgressChoice,
    /// What scrolls by.
    pub show: Show,
    /// Whether events go to stdout as NDJSON.
    pub json: bool,
    /// What happens when the cap is reached.
    pub on_exceed: OnExceed,
    /// The plan as JSON, for the stream.
    pub plan: Value,
}

impl Manner {
    /// A run that is not watched.
    pub const fn silent(show: Show) -> Self {
        Self {
            progress: ProgressChoice::None,
            show,
            json: false,
            on_exceed: OnExceed::Stop,
            plan: Value::Null,
        }
    }

    /// The manner that `auto` means on this stderr.
    pub fn settle(progress: ProgressChoice, ui: &Ui) -> ProgressChoice {
        // Traces and a block that redraws itself would write over each other.
        let traced = tracing::enabled!(tracing::Level::INFO);
        let block = ui.err_is_terminal() && !ui.accessible() && !traced;
        match progress {
            ProgressChoice::Auto if ui.quiet() => ProgressChoice::None,
            ProgressChoice::Auto if block => ProgressChoice::Bar,
            ProgressChoice::Auto => ProgressChoice::Plain,
            ProgressChoice::Bar
            | ProgressChoice::Plain
            | ProgressChoice::Json
            | ProgressChoice::None => progress,
        }
    }
}

/// Looks on. Clones look on together.
#[derive(Clone)]
pub struct Watch {
    ui: Ui,
    inner: Arc<Mutex<Inner>>,
}

impl std::fmt::Debug for Watch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Watch").finish_non_exhaustive()
    }
}

struct Inner {
    manner: Manner,
    history: History,
    /// Made from the past when the first new fact comes.
    live: Option<Live>,
    bar: Option<ProgressBar>,
    drawn_at: Timestamp,
    stdout_gone: bool,
    schedule: Arc<Schedule>,
    past: Tally,
}

struct Live {
    progress: Progress,
    stream: Option<EventStream>,
    echo: Option<EventStream>,
}

impl Watch {
    /// Watches a run of this schedule from its beginning.
    pub fn new(ui: Ui, manner: Manner, schedule: Arc<Schedule>) -> Self {
        let past = Tally::for_schedule(&schedule);
        let inner = Inner {
            manner,
            history: History::default(),
            live: None,
            bar: None,
            drawn_at: Timestamp::default(),
            stdout_gone: false,
            past,
            schedule,
        };
        Self { ui, inner: Arc::new(Mutex::new(inner)) }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes one fact.
    pub fn observe(&self, told: Told<'_>) {
        let mut inner = self.lock();
        let fact = Fact { at: told.at, event: told.event };
        inner.history.observe(fact);
        if told.past {
            inner.past.apply(fact);
            return;
        }
        inner.live(&self.ui);
        let first = matches!(told.event, Event::RunStarted(_) | Event::RunResumed { .. });
        inner.show(fact, first, &self.ui);
    }

    /// Looks at the clock: redraws the block, ends a long silence of lines.
    fn tick(&self) {
        let now = clock::now();
        let mut inner = self.lock();
        let progress = inner.manner.progress;
        let lines = match (&mut inner.live, progress) {
            (Some(live), ProgressChoice::Plain) => live.progress.plain(None, now),
            (Some(_) | None, _) => Vec::new(),
        };
        lines.iter().for_each(|line| self.ui.say(line));
        inner.draw(now, &self.ui);
    }

    /// Ticks until dropped.
    pub async fn ticking(self) {
        let mut ticks = tokio::time::interval(TICK);
        loop {
            ticks.tick().await;
            self.tick();
        }
    }

    /// Says something above the block.
    pub fn say(&self, text: &str) {
        let inner = self.lock();
        inner.above(|| self.ui.say(text));
    }

    /// Ends the block, and leaves its last state on the screen.
    pub fn close(&self) {
        let mut inner = self.lock();
        inner.drawn_at = Timestamp::default();
        inner.draw(clock::now(), &self.ui);
        if let Some(bar) = inner.bar.take() {
            bar.abandon();
            self.ui.say("");
        }
    }

    /// The last line of the stream.
    pub fn finish_stream(&self, at: Timestamp, exit: u8, outputs: Map<String, Value>) {
        let mut inner = self.lock();
        let Some(live) = &mut inner.live else { return };
        let line = live.stream.as_mut().map(|stream| stream.finished(at, exit, outputs.clone()));
        let echo = live.echo.as_mut().map(|stream| stream.finished(at, exit, outputs));
        inner.write(line.into_iter().collect(), &self.ui);
        echo.into_iter().for_each(|line| self.ui.say(&line));
    }

    /// Takes what was seen out.
    pub fn into_history(self) -> History {
        std::mem::take(&mut self.lock().history)
    }

    /// Calls `look` with the figures.
    pub fn figures<T>(&self, look: impl FnOnce(&Tally) -> T) -> T {
        look(self.lock().history.tally())
    }
}

impl Inner {
    /// Begins to show things: with the first fact that is new.
    fn live(&mut self, ui: &Ui) {
        if self.live.is_some() {
            return;
        }
        let past = std::mem::take(&mut self.past);
        let stream = || EventStream::new(past.clone(), self.manner.on_exceed);
        let live = Live {
            stream: self.manner.json.then(stream),
            echo: (self.manner.progress == ProgressChoice::Json).then(stream),
            progress: Progress::new(past.clone()),
        };
        self.live = Some(live);
        if self.manner.progress == ProgressChoice::Bar {
            let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr_with_hz(10));
            let style = ProgressStyle::with_template("{msg}").expect("a template of one field");
            bar.set_style(style);
            self.bar = Some(bar);
        }
        tracing::debug!(steps = self.schedule.steps.len(), width = ui.width(), "watching");
    }

    fn show(&mut self, fact: Fact<'_>, first: bool, ui: &Ui) {
        let now = clock::now();
        let Some(live) = &mut self.live else { return };
        let plan = || self.manner.plan.clone();
        let mut lines = Vec::new();
        if let Some(stream) = &mut live.stream {
            lines = stream.observe(fact);
            if first && !self.manner.plan.is_null() {
                lines.push(stream.plan(fact.at, plan()));
            }
        }
        let echoes = live.echo.as_mut().map_or_else(Vec::new, |stream| stream.observe(fact));
        let mut notices = live.progress.observe(fact);
        notices.retain(|notice| wanted(notice, self.manner.show));
        let mut said: Vec<String> = echoes;
        match self.manner.progress {
            ProgressChoice::Plain => {
                said.extend(notices.into_iter().flat_map(|notice| notice.lines));
                said.extend(live.progress.plain(Some(fact), now));
            }
            ProgressChoice::Bar | ProgressChoice::Auto => {
                said.extend(notices.into_iter().flat_map(|notice| notice.lines));
            }
            ProgressChoice::Json | ProgressChoice::None => {}
        }
        if let Event::DrainAsked { until } = fact.event {
            said.extend(report::summary::stopping(live.progress.tally(), until.since(fact.at)));
        }
        self.write(lines, ui);
        if !said.is_empty() {
            self.above(|| said.iter().for_each(|line| ui.say(line)));
        }
        self.draw(now, ui);
    }

    /// Writes lines of the stream, until nobody reads them.
    fn write(&mut self, lines: Vec<String>, ui: &Ui) {
        for line in lines {
            if self.stdout_gone {
                return;
            }
            self.stdout_gone = ui.data(&format!("{line}\n")).is_err();
        }
    }

    /// Says something where the block does not overwrite it.
    fn above(&self, say: impl FnOnce()) {
        match &self.bar {
            Some(bar) => bar.suspend(say),
            None => say(),
        }
    }

    fn draw(&mut self, now: Timestamp, ui: &Ui) {
        let (Some(bar), Some(live)) = (&self.bar, &self.live) else { return };
        if now.since(self.drawn_at) < DRAW {
            return;
        }
        self.drawn_at = now;
        let lines = live.progress.block(now, super::look(ui));
        bar.set_message(lines.join("\n"));
        bar.tick();
    }
}

/// Whether `--show` lets a notice scroll by.
const fn wanted(notice: &Notice, show: Show) -> bool {
    match (notice.kind, show) {
        (NoticeKind::Failed, _)
        | (_, Show::All)
        | (NoticeKind::Retried, Show::Retried)
        | (NoticeKind::Slow, Show::Slow)
        | (NoticeKind::Confirmed, Show::Confirmed) => true,
        (
            NoticeKind::Retried | NoticeKind::Slow | NoticeKind::Confirmed | NoticeKind::Published,
            Show::Failed | Show::Retried | Show::Slow | Show::Confirmed,
        ) => false,
    }
}

/// The figures that `status` lists without reading events.
pub fn figures(tally: &Tally) -> Value {
    let (total, money) = (tally.total(), tally.money());
    let cap: Option<Wei> = tally.run().and_then(|run| run.cap);
    json!({
        "tasks": total.tasks(),
        "known": total.items.is_some(),
        "confirmed": total.confirmed,
        "failed": total.failed,
        "rejected_paid": total.rejected_paid,
        "paid_wei": money.paid,
        "gas_wei": money.gas,
        "locked_wei": money.locked,
        "cap_wei": cap,
    })
}
