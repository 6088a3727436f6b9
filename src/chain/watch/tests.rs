use std::time::Duration;

use alloy::primitives::Bytes;

use super::*;
use crate::chain::scripted::{ScriptedNode, Twist, hash_of};
use crate::units::Finality;

const NEXUS: Address = Address::repeat_byte(0xbb);

fn block(number: u64, fork: u8) -> BlockRef {
    BlockRef { number, hash: hash_of(number, fork) }
}

fn words(first: Address, second: Address) -> Bytes {
    let mut data = [0_u8; 64];
    data[12..32].copy_from_slice(first.as_slice());
    data[44..64].copy_from_slice(second.as_slice());
    data.to_vec().into()
}

fn publish(node: &ScriptedNode, number: u64, index: u64, task: u8) {
    let data = words(Address::repeat_byte(task), Address::repeat_byte(0x50));
    node.facts().log(NEXUS, number, index, (topics()[0], data));
}

fn rule() -> FinalityRule {
    FinalityRule::new(Finality::Depth(3), None)
}

async fn read(
    watcher: &mut Watcher,
    endpoint: &Endpoint,
    ring: &[BlockRef],
) -> Result<LogRead, ChainError> {
    read_above(watcher, endpoint, (ring, 0)).await
}

/// The same, where blocks up to a height are final.
async fn read_above(
    watcher: &mut Watcher,
    endpoint: &Endpoint,
    past: (&[BlockRef], u64),
) -> Result<LogRead, ChainError> {
    let finality = rule();
    let stream = Stream { nexus: NEXUS, finality: &finality, endpoint };
    watcher.read(&stream, past).await
}

async fn next_page(watcher: &mut Watcher, endpoint: &Endpoint, ring: &[BlockRef]) -> LogPage {
    match read(watcher, endpoint, ring).await {
        Ok(LogRead::Advanced(page)) => page,
        other => panic!("no page but {other:?}"),
    }
}

fn tasks(page: &LogPage) -> Vec<u8> {
    let task = |sighting: &Sighting| match sighting.what {
        Seen::TaskPublished { task, .. } => Some(task[0]),
        Seen::TaskStatus { .. }
        | Seen::ResponseSubmitted { .. }
        | Seen::ResponseConfirmed { .. } => None,
    };
    page.sightings.iter().filter_map(task).collect()
}

#[tokio::test(start_paused = true)]
async fn a_head_is_read_once_it_has_stood_and_the_block_below_at_once() {
    let node = ScriptedNode::at(12);
    publish(&node, 11, 0, 1);
    publish(&node, 12, 0, 2);
    let (mut watcher, endpoint) = (Watcher::default(), node.endpoint());
    let page = next_page(&mut watcher, &endpoint, &[block(10, 0)]).await;
    assert_eq!((page.to, tasks(&page)), (block(11, 0), vec![1]));
    let page = next_page(&mut watcher, &endpoint, &[block(10, 0), page.to]).await;
    assert_eq!((page.to, tasks(&page)), (block(12, 0), vec![2]));
    assert_eq!(page.to_time, ChainTime::from_secs(1_012));
    assert_eq!((page.final_number, page.final_time), (10, ChainTime::from_secs(1_010)));
}

#[tokio::test(start_paused = true)]
async fn it_waits_until_there_is_a_new_block() {
    let node = ScriptedNode::at(10);
    let growing = node.clone();
    let grow = tokio::spawn(async move {
        tokio::time::sleep(Duration::from_secs(60)).await;
        growing.facts().head = 12;
    });
    let started = Instant::now();
    let page = next_page(&mut Watcher::default(), &node.endpoint(), &[block(10, 0)]).await;
    assert_eq!(page.to.number, 11);
    assert!(started.elapsed() >= Duration::from_secs(60));
    assert!(node.packets() <= 33, "{} polls in a minute at one per 2 s", node.packets());
    grow.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn the_overlap_brings_late_logs_once_and_none_twice() {
    let node = ScriptedNode::at(20);
    publish(&node, 11, 0, 1);
    let (mut watcher, endpoint) = (Watcher::default(), node.endpoint());
    let first = next_page(&mut watcher, &endpoint, &[block(10, 0)]).await;
    assert_eq!((first.to.number, tasks(&first)), (19, vec![1]));
    publish(&node, 18, 0, 2);
    node.facts().head = 24;
    let ring = [block(10, 0), first.to];
    let second = next_page(&mut watcher, &endpoint, &ring).await;
    assert_eq!(tasks(&second), [2], "a log that the node had not indexed the first time");
    let third = next_page(&mut watcher, &endpoint, &[first.to, second.to]).await;
    assert_eq!(tasks(&third), [0_u8; 0]);
}

#[tokio::test(start_paused = true)]
async fn the_same_ring_reads_the_same_page_again() {
    let node = ScriptedNode::at(20);
    publish(&node, 15, 3, 1);
    let (mut watcher, endpoint) = (Watcher::default(), node.endpoint());
    let ring = [block(10, 0)];
    let first = next_page(&mut watcher, &endpoint, &ring).await;
    let again = next_page(&mut watcher, &endpoint, &ring).await;
    assert_eq!((tasks(&first), tasks(&again)), (vec![1], vec![1]));
}

#[tokio::test(start_paused = true)]
async fn a_reorg_rewinds_to_the_newest_block_that_is_still_there() {
    let node = ScriptedNode::at(30);
    node.facts().forks.insert(16, 1);
    let ring: Vec<BlockRef> = [10, 13, 15, 17, 19].map(|number| block(number, 0)).into();
    let read = read(&mut Watcher::default(), &node.endpoint(), &ring).await;
    assert_eq!(read, Ok(LogRead::Rewound(block(15, 0))));
}

#[tokio::test(start_paused = true)]
async fn a_reorg_at_the_cursors_own_height_is_seen_without_a_new_block() {
    let node = ScriptedNode::at(19);
    node.facts().forks.insert(19, 1);
    let ring = [block(18, 0), block(19, 0)];
    let read = read(&mut Watcher::default(), &node.endpoint(), &ring).await;
    assert_eq!(read, Ok(LogRead::Rewound(block(18, 0))));
}

#[tokio::test(start_paused = true)]
async fn a_reorg_below_the_ring_goes_back_below_it_and_brings_every_log_again() {
    let node = ScriptedNode::at(20);
    publish(&node, 12, 0, 1);
    let (mut watcher, endpoint) = (Watcher::default(), node.endpoint());
    let before = next_page(&mut watcher, &endpoint, &[block(10, 0)]).await;
    assert_eq!(tasks(&before), [1]);
    node.facts().forks.insert(8, 1);
    node.facts().logs.clear();
    for (number, task) in [(9, 2), (12, 1)] {
        publish(&node, number, 0, task);
    }
    node.facts().head = 600;
    let read = read(&mut watcher, &endpoint, &[block(10, 0), before.to]).await;
    assert_eq!(read, Ok(LogRead::Rewound(block(7, 0))), "as deep as finality reaches");
    let again = next_page(&mut watcher, &endpoint, &[block(7, 0)]).await;
    assert_eq!((tasks(&again), again.after), (vec![2, 1], block(7, 0)));
    let next = next_page(&mut watcher, &endpoint, &[block(7, 0), again.to]).await;
    assert_eq!(tasks(&next), [0_u8; 0]);
}

#[tokio::test(start_paused = true)]
async fn a_reorg_that_takes_back_what_was_final_is_an_error_of_its_own() {
    let node = ScriptedNode::at(30);
    node.facts().forks.insert(0, 1);
    let ring = [block(10, 0), block(19, 0)];
    let past = |final_number| (ring.as_slice(), final_number);
    let (mut watcher, endpoint) = (Watcher::default(), node.endpoint());
    let gone = read_above(&mut watcher, &endpoint, past(9)).await;
    assert_eq!(gone, Ok(LogRead::Rewound(block(7, 1))));
    let refused = read_above(&mut watcher, &endpoint, past(10)).await;
    assert_eq!(refused, Err(ChainError::TooDeep { oldest: block(10, 0) }));
    // Another chain from its first block on.
    let refused = read(&mut Watcher::default(), &endpoint, &[block(0, 0), block(19, 0)]).await;
    assert_eq!(refused, Err(ChainError::TooDeep { oldest: block(0, 0) }));

    let lagging = ScriptedNode::at(8);
    let refused =
        read_above(&mut Watcher::default(), &lagging.endpoint(), past(10)).await.unwrap_err();
    assert!(matches!(refused, ChainError::Behind { height: 10, .. }), "{refused:?}");
}

#[tokio::test(start_paused = true)]
async fn a_head_below_the_cursor_is_a_lagging_replica_until_patience_ends() {
    let node = ScriptedNode::at(17);
    let catching_up = node.clone();
    let catch_up = tokio::spawn(async move {
        tokio::time::sleep(Duration::from_secs(10)).await;
        catching_up.facts().head = 21;
    });
    let ring = [block(16, 0), block(19, 0)];
    let page = next_page(&mut Watcher::default(), &node.endpoint(), &ring).await;
    assert_eq!(page.to.number, 20);
    catch_up.await.unwrap();

    let rolled_back = ScriptedNode::at(17);
    let started = Instant::now();
    let read = read(&mut Watcher::default(), &rolled_back.endpoint(), &ring).await;
    assert_eq!(read, Ok(LogRead::Rewound(block(16, 0))));
    assert!(started.elapsed() >= Duration::from_secs(30));
}

#[tokio::test(start_paused = true)]
async fn a_refused_range_is_halved_until_it_fits_without_waiting() {
    let node = ScriptedNode::at(3_000);
    node.facts().log_span = Some(20);
    publish(&node, 60, 0, 1);
    publish(&node, 2_990, 0, 2);
    let (mut watcher, endpoint) = (Watcher::default(), node.endpoint());
    let mut ring = vec![block(10, 0)];
    let mut seen = Vec::new();
    let started = Instant::now();
    while ring.last().unwrap().number < 2_990 {
        let page = next_page(&mut watcher, &endpoint, &ring).await;
        seen.extend(tasks(&page));
        ring.push(page.to);
    }
    assert_eq!(seen, [1, 2]);
    assert!(started.elapsed() < Duration::from_secs(10), "{:?}", started.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_range_doubles_while_it_works_up_to_the_most() {
    let node = ScriptedNode::at(60_000);
    let (mut watcher, endpoint) = (Watcher::default(), node.endpoint());
    let mut ring = vec![block(0, 0)];
    let mut widths = Vec::new();
    while ring.last().unwrap().number < 59_999 {
        let page = next_page(&mut watcher, &endpoint, &ring).await;
        widths.push(page.to.number - ring.last().unwrap().number);
        ring.push(page.to);
    }
    assert_eq!(&widths[..6], [500, 1_000, 2_000, 4_000, 8_000, 10_000]);
    assert!(widths.iter().all(|width| *width <= 10_000));
}

#[tokio::test(start_paused = true)]
async fn a_node_that_refuses_every_range_is_asked_by_block_hash() {
    let node = ScriptedNode::at(12);
    node.facts().log_span = Some(0);
    publish(&node, 12, 0, 1);
    let (mut watcher, endpoint) = (Watcher::default(), node.endpoint());
    watcher.width = 1;
    let page = next_page(&mut watcher, &endpoint, &[block(11, 0)]).await;
    assert_eq!(tasks(&page), [1]);
}

#[tokio::test(start_paused = true)]
async fn hostile_replies_are_asked_for_again_and_in_the_end_unreachable() {
    for twist in [
        Twist::Html,
        Twist::Truncated,
        Twist::WrongIds,
        Twist::Partial,
        Twist::WrongType,
        Twist::Null("eth_getLogs"),
        Twist::Refuse("eth_getLogs", -32005, "limit exceeded"),
        Twist::Status(502, None),
        Twist::Hang,
    ] {
        let node = ScriptedNode::at(12);
        publish(&node, 11, 0, 1);
        node.twist([Twist::Honest, twist.clone()]);
        let page = next_page(&mut Watcher::default(), &node.endpoint(), &[block(10, 0)]).await;
        assert_eq!(tasks(&page), [1], "{twist:?}");

        let node = ScriptedNode::at(12);
        node.twist(std::iter::repeat_n(twist.clone(), 1_000));
        let refused = read(&mut Watcher::default(), &node.endpoint(), &[block(10, 0)]).await;
        assert!(matches!(refused, Err(ChainError::Unreachable { .. })), "{twist:?}: {refused:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn logs_that_say_nothing_known_are_dropped_and_malformed_ones_too() {
    let node = ScriptedNode::at(12);
    let facts = |log: (B256, Bytes), index| node.facts().log(NEXUS, 11, index, log);
    facts((topics()[0], Bytes::from_static(&[1, 2, 3])), 0);
    facts((B256::repeat_byte(9), words(Address::ZERO, Address::ZERO)), 1);
    let mut submitted = [0_u8; 64];
    submitted[..32].copy_from_slice(&words(Address::repeat_byte(7), Address::ZERO)[..32]);
    facts((topics()[3], submitted.to_vec().into()), 2);
    submitted[63] = 1;
    facts((topics()[3], submitted.to_vec().into()), 3);
    let page = next_page(&mut Watcher::default(), &node.endpoint(), &[block(10, 0)]).await;
    let whats: Vec<&Seen> = page.sightings.iter().map(|sighting| &sighting.what).collect();
    let response = Address::repeat_byte(7);
    assert_eq!(whats, [&Seen::ResponseConfirmed { response }]);
}

#[tokio::test(start_paused = true)]
async fn without_a_cursor_the_stream_begins_at_the_head() {
    let node = ScriptedNode::at(12);
    let read = read(&mut Watcher::default(), &node.endpoint(), &[]).await;
    assert_eq!(read, Ok(LogRead::Rewound(block(12, 0))));
}
