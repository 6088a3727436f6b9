use super::super::fixture::{at, block, story, until};
use super::*;
use crate::units::Network;

fn following(seconds: u64) -> Progress {
    let story = story(Network::mainnet());
    let mut tally = until(&story, seconds);
    let event = Event::LogsRead {
        to: block(20_934_183),
        to_time: Default::default(),
        final_number: 1,
        final_time: Default::default(),
    };
    tally.apply(Fact { at: at(seconds), event: &event });
    Progress::new(tally)
}

#[test]
fn the_block_shows_steps_money_and_the_age_of_the_chain() {
    let lines = following(42).block(at(44), Look::default());
    assert_eq!(
        lines,
        [
            " review-digest  r-7f3k9q2m  mainnet  block 20,934,183 (2 s ago)            00:44",
            "",
            " label   ██████████▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒  1/3",
            "         published 3  attempted 1  responded 1  confirmed 1",
            " digest  waits for label",
            "",
            " spent 0.0115 of 8.0000 OGPU   locked 0.0200   1.3 tasks/min",
        ]
    );
}

#[test]
fn no_line_of_the_block_is_wider_than_the_screen_or_more_than_ascii_if_asked() {
    for width in [10, 40, 60, 80, 200] {
        let look = Look { width, ascii: false };
        for line in following(42).block(at(44), look) {
            assert!(unicode_width::UnicodeWidthStr::width(line.as_str()) <= width, "{line:?}");
        }
    }
    let look = Look { width: 80, ascii: true };
    assert!(following(42).block(at(44), look).iter().all(|line| line.is_ascii()));
}

#[test]
fn plain_lines_come_at_milestones_shares_and_after_silence() {
    let story = story(Network::devnet());
    let mut progress = Progress::new(Tally::new());
    let mut lines = Vec::new();
    for (at, event) in &story {
        let fact = Fact { at: *at, event };
        progress.observe(fact);
        lines.extend(progress.plain(Some(fact), *at));
    }
    assert_eq!(
        lines,
        [
            "2026-11-22T04:10:31Z run r-7f3k9q2m started, cap 8 OGPU   play money",
            "2026-11-22T04:11:11Z label published 3/3, 0 confirmed, 0 failed, spent 0.0030 OGPU   play money",
            "2026-11-22T04:11:13Z label published 3/3, 1 confirmed, 0 failed, spent 0.0115 OGPU   play money",
            "2026-11-22T04:42:11Z label published 3/3, 1 confirmed, 0 failed, spent 0.0115 OGPU   play money",
            "2026-11-22T04:42:12Z label published 3/3, 1 confirmed, 1 failed, spent 0.0115 OGPU   play money",
            "2026-11-22T04:43:01Z label published 3/3, 1 confirmed, 1 failed, spent 0.0125 OGPU   play money",
            "2026-11-22T04:43:51Z label published 3/3, 1 confirmed, 2 failed, spent 0.0125 OGPU   play money",
            "2026-11-22T04:43:51Z label failed: 1 confirmed, 2 failed, paid 0.008 OGPU, gas 0.0045 OGPU   play money",
            "2026-11-22T04:43:51Z digest not started: a step before it failed",
            "2026-11-22T04:43:52Z run r-7f3k9q2m finished with failures",
        ]
    );
    assert!(progress.plain(None, at(2002)).is_empty());
}

#[test]
fn a_silent_minute_gets_a_line_from_the_timer() {
    let mut progress = following(9);
    assert!(progress.plain(None, at(10)).len() == 1, "the first is due");
    assert!(progress.plain(None, at(39)).is_empty());
    assert_eq!(progress.plain(None, at(40)).len(), 1);
}

#[test]
fn nothing_is_said_twice_after_a_resume() {
    let story = story(Network::testnet());
    let mut progress = Progress::new(until(&story, 42));
    let fact = Fact { at: at(43), event: &Event::RunResumed { epoch: 2, cap: None } };
    assert!(progress.observe(fact).is_empty());
    let lines = progress.plain(Some(fact), at(43));
    assert!(lines[0].ends_with("run r-7f3k9q2m goes on"), "{lines:?}");
}

#[test]
fn the_bar_is_full_width_whatever_the_counts() {
    for (confirmed, failed, published, tasks) in
        [(0, 0, 0, 0), (1, 0, 1, 1), (1, 1, 3, 1000), (999, 1, 1000, 1000), (5, 5, 10, 7)]
    {
        let step = StepTally {
            items: Some(tasks),
            read: tasks,
            confirmed,
            failed,
            published,
            ..StepTally::default()
        };
        assert_eq!(bar(&step).chars().count(), BAR, "{step:?}");
    }
}
