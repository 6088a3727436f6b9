// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.30;

import {Places} from "./Places.sol";

/// The money. Coins come in by `deposit` and go out by `withdraw`; in between they only move:
/// the sum of balances, frozen payments, lockups and unbonding amounts is what the contract holds.
contract Vault {
    struct Escrow {
        address client;
        uint88 amount;
        bool settled;
    }

    uint256 public constant MIN_LOCKUP_PER_SOURCE = 0;
    uint256 public constant UNBONDING_PERIOD = 7 days;

    mapping(address => uint256) public balanceOf;
    mapping(address => uint256) public frozenPayment;
    mapping(address => uint256) public lockupOf;
    mapping(address => uint256) public unbondingOf;
    mapping(address => uint256) public unbondingTimestamp;
    mapping(address => uint256) public totalEarningsOf;
    mapping(address => uint256) public sanctionOf;
    mapping(address => bool) public isWhitelisted;
    /// By task. Settled once, by payment or by release.
    mapping(address => Escrow) private escrows;

    event Deposited(address account, uint256 amount);
    event Withdrawn(address account, uint256 amount);
    event Locked(address account, uint256 amount);
    event Unbonded(address account, uint256 amount);
    event Claimed(address account, uint256 amount);

    modifier onlyProtocol() {
        require(msg.sender == Places.CONTROLLER || msg.sender == Places.NEXUS, "OnlyProtocol");
        _;
    }

    function deposit(address account) external payable {
        balanceOf[account] += msg.value;
        emit Deposited(account, msg.value);
    }

    function withdraw(uint256 amount) external {
        take(msg.sender, amount);
        emit Withdrawn(msg.sender, amount);
        (bool sent,) = msg.sender.call{value: amount}("");
        require(sent, "TransferFailed");
    }

    function lock(uint256 amount) external {
        take(msg.sender, amount);
        lockupOf[msg.sender] += amount;
        emit Locked(msg.sender, amount);
    }

    function unbond(uint256 amount) external {
        require(lockupOf[msg.sender] >= amount, "InsufficientLockup");
        lockupOf[msg.sender] -= amount;
        unbondingOf[msg.sender] += amount;
        unbondingTimestamp[msg.sender] = block.timestamp;
        emit Unbonded(msg.sender, amount);
    }

    function claim() external {
        require(
            block.timestamp >= unbondingTimestamp[msg.sender] + UNBONDING_PERIOD,
            "UnbondingNotElapsed"
        );
        uint256 amount = unbondingOf[msg.sender];
        delete unbondingOf[msg.sender];
        balanceOf[msg.sender] += amount;
        emit Claimed(msg.sender, amount);
    }

    function freezePayment(address client, address task, uint256 amount) external onlyProtocol {
        take(client, amount);
        frozenPayment[client] += amount;
        escrows[task] = Escrow(client, uint88(amount), false);
    }

    function releasePayment(address client, address task) external onlyProtocol {
        uint256 amount = settle(client, task);
        balanceOf[client] += amount;
    }

    /// `amount` goes to the provider, the rest back to the client.
    function processPayment(address client, address provider, address task, uint256 amount)
        external
        onlyProtocol
    {
        uint256 frozen = settle(client, task);
        balanceOf[provider] += amount;
        totalEarningsOf[provider] += amount;
        if (frozen != amount) {
            balanceOf[client] += frozen - amount;
        }
    }

    /// Whose payment is behind a task; the zero address for what is no task.
    function clientOf(address task) external view returns (address) {
        return escrows[task].client;
    }

    function isEligible(address account) external view returns (bool) {
        return isWhitelisted[account] || lockupOf[account] >= MIN_LOCKUP_PER_SOURCE;
    }

    function getBalanceOf(address account) external view returns (uint256) {
        return balanceOf[account];
    }

    function getLockupOf(address account) external view returns (uint256) {
        return lockupOf[account];
    }

    function nexus() external pure returns (address) {
        return Places.NEXUS;
    }

    function terminal() external pure returns (address) {
        return Places.TERMINAL;
    }

    function take(address account, uint256 amount) private {
        uint256 balance = balanceOf[account];
        require(balance >= amount, "InsufficientBalance");
        balanceOf[account] = balance - amount;
    }

    function settle(address client, address task) private returns (uint256 amount) {
        Escrow storage escrow = escrows[task];
        require(escrow.client == client && !escrow.settled, "NoEscrow");
        escrow.settled = true;
        amount = escrow.amount;
        frozenPayment[client] -= amount;
    }
}
