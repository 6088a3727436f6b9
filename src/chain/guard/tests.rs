use super::*;
use crate::chain::scripted::{ScriptedNode, Twist};

async fn codes(node: &ScriptedNode) -> CodeHashes {
    guard(&node.endpoint(), &Network::devnet()).await.unwrap().code
}

#[tokio::test(start_paused = true)]
async fn other_code_behind_a_proxy_is_other_code() {
    let node = ScriptedNode::at(5);
    let network = Network::devnet();
    let plain = codes(&node).await;
    assert_eq!(plain.controller, keccak256(&network.controller[..1]));

    let (first, second) = (Address::repeat_byte(0x31), Address::repeat_byte(0x32));
    node.facts().behind.insert(network.controller, first);
    let proxied = codes(&node).await;
    assert_ne!(proxied.controller, plain.controller);
    assert_eq!(CodeHashes { controller: plain.controller, ..proxied }, plain, "and no other's");
    assert_eq!(codes(&node).await, proxied);

    node.facts().code.insert(first, Bytes::from_static(b"other"));
    let upgraded = codes(&node).await;
    assert_ne!(upgraded.controller, proxied.controller, "its code");
    node.facts().code.insert(second, Bytes::from_static(b"other"));
    node.facts().behind.insert(network.controller, second);
    assert_ne!(codes(&node).await.controller, upgraded.controller, "its address");
}

#[tokio::test(start_paused = true)]
async fn a_node_that_serves_no_storage_is_taken_for_one_without_proxies() {
    let node = ScriptedNode::at(5);
    let plain = codes(&node).await;
    node.twist([Twist::Refuse("eth_getStorageAt", -32601, "the method does not exist")]);
    assert_eq!(codes(&node).await, plain);
}
