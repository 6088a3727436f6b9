// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.30;

import {DeliveryMethod, TaskStatus} from "./Types.sol";
import {Places} from "./Places.sol";

/// One task: what was asked, who took it, what came back. The registry changes it; nobody else.
contract Task {
    struct Attempt {
        address provider;
        uint64 timestamp;
    }

    address private source;
    uint64 private expiry;
    TaskStatus public status;
    DeliveryMethod public deliveryMethod;

    address public winningProvider;
    uint96 private payment;

    string private config;
    Attempt[] private attempts;
    /// Place in `attempts`, counted from 1; 0 means never attempted.
    mapping(address => uint256) private place;
    mapping(address => address) public responseOf;
    /// By provider and data: the same bytes from two providers are two responses.
    mapping(bytes32 => bool) public isAlreadySubmitted;

    modifier onlyNexus() {
        require(msg.sender == Places.NEXUS, "OnlyNexus");
        _;
    }

    function initialize(
        address source_,
        string calldata config_,
        uint64 expiry_,
        uint96 payment_,
        DeliveryMethod delivery
    ) external {
        require(msg.sender == Places.CONTROLLER, "OnlyController");
        source = source_;
        expiry = expiry_;
        deliveryMethod = delivery;
        payment = payment_;
        config = config_;
    }

    function setStatus(TaskStatus value) external onlyNexus {
        status = value;
    }

    function setWinner(address provider) external onlyNexus {
        winningProvider = provider;
    }

    function attempt(address provider) external onlyNexus {
        require(place[provider] == 0, "AlreadyAttempted");
        attempts.push(Attempt(provider, uint64(block.timestamp)));
        place[provider] = attempts.length;
    }

    function submitResponse(address response, address provider, bytes32 digest) external onlyNexus {
        responseOf[provider] = response;
        isAlreadySubmitted[digest] = true;
    }

    /// What the registry has to look at, in one read.
    function facts(address provider)
        external
        view
        returns (
            address source_,
            uint64 expiry_,
            TaskStatus status_,
            DeliveryMethod delivery,
            uint96 payment_,
            bool attempted,
            address response
        )
    {
        return (
            source,
            expiry,
            status,
            deliveryMethod,
            payment,
            place[provider] != 0,
            responseOf[provider]
        );
    }

    function taskParams()
        external
        view
        returns (address, string memory, uint256, uint256)
    {
        return (source, config, expiry, payment);
    }

    function getStatus() external view returns (TaskStatus) {
        return status;
    }

    function getSource() external view returns (address) {
        return source;
    }

    function getPayment() external view returns (uint256) {
        return payment;
    }

    function getExpiryTime() external view returns (uint256) {
        return expiry;
    }

    function getDeliveryMethod() external view returns (DeliveryMethod) {
        return deliveryMethod;
    }

    function getAttemptCount() external view returns (uint256) {
        return attempts.length;
    }

    function attempters(uint256 i) external view returns (address) {
        return attempts[i].provider;
    }

    function attemptTimestamps(uint256 i) external view returns (uint256) {
        return attempts[i].timestamp;
    }

    /// Both ends included, as everywhere.
    function getAttempters(uint256 lower, uint256 upper)
        external
        view
        returns (address[] memory result)
    {
        result = new address[](upper - lower + 1);
        for (uint256 i = lower; i <= upper; i++) {
            result[i - lower] = attempts[i].provider;
        }
    }

    function getAttemptTimestamps(uint256 lower, uint256 upper)
        external
        view
        returns (uint256[] memory result)
    {
        result = new uint256[](upper - lower + 1);
        for (uint256 i = lower; i <= upper; i++) {
            result[i - lower] = attempts[i].timestamp;
        }
    }

    /// By place of the attempt; the zero address where there is no response.
    function getResponsesOf(uint256 lower, uint256 upper)
        external
        view
        returns (address[] memory result)
    {
        result = new address[](upper - lower + 1);
        for (uint256 i = lower; i <= upper; i++) {
            result[i - lower] = responseOf[attempts[i].provider];
        }
    }

    /// 0 for the first and for the absent.
    function getAttempterId(address provider) public view returns (uint256) {
        uint256 at = place[provider];
        return at == 0 ? 0 : at - 1;
    }

    function attempterId(address provider) external view returns (uint256) {
        return getAttempterId(provider);
    }
}
