// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.30;

/// Where everything stands. The first four are the testnet's addresses; the last three hold the
/// code that every source, task and response delegates to. All are in the genesis block, so that
/// no contract needs a constructor.
library Places {
    address internal constant NEXUS = 0xF87bb2f3edB991a998992f14d35fE142e6Bb50b1;
    address internal constant CONTROLLER = 0x9fb6022074Fd7Bdb429de0776eb693cA0CB55E09;
    address internal constant TERMINAL = 0x1ea332Fc14a5AFD3AF3852B45C263Ab5b1Dd6f52;
    address internal constant VAULT = 0x15905a2FbD3EF5d3532b931b5656BB9EB493Bb15;
    address internal constant SOURCE_CODE = 0x0000000000000000000000000000000000C0De01;
    address internal constant TASK_CODE = 0x0000000000000000000000000000000000c0De02;
    address internal constant RESPONSE_CODE = 0x0000000000000000000000000000000000c0De03;

    /// Makes a contract that delegates every call to `code` (EIP-1167): 45 bytes instead of
    /// thousands, so that a publication is cheap to mine.
    function clone(address code) internal returns (address made) {
        assembly ("memory-safe") {
            let at := mload(0x40)
            mstore(at, 0x3d602d80600a3d3981f3363d3d373d3d3d363d73000000000000000000000000)
            mstore(add(at, 0x14), shl(0x60, code))
            mstore(add(at, 0x28), 0x5af43d82803e903d91602b57fd5bf30000000000000000000000000000000000)
            made := create(0, at, 0x37)
        }
        require(made != address(0), "CloneFailed");
    }
}
