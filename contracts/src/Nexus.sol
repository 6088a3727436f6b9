// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.30;

import {
    DeliveryMethod,
    ResponseParams,
    ResponseStatus,
    SourceParams,
    SourceStatus,
    TaskStatus
} from "./Types.sol";
import {Places} from "./Places.sol";
import {Response} from "./Response.sol";
import {Source} from "./Source.sol";
import {Task} from "./Task.sol";
import {Terminal} from "./Terminal.sol";
import {Vault} from "./Vault.sol";

/// The registry: every source, attempt and response passes through here, and every event comes
/// from here.
contract Nexus {
    /// Set in the genesis block (slot 0): an expired escrow stays frozen for ever.
    bool public keepsExpiredEscrow;
    /// Set in the genesis block (slot 0): a first response waits for a confirmation too.
    bool public noAutoConfirm;

    address[] public sources;
    /// Place in `sources`, counted from 1; 0 means unknown.
    mapping(address => uint256) private place;
    mapping(address => uint256) public activeSourceCountOf;

    event TaskPublished(address task, address source);
    event TaskStatusChanged(address task, TaskStatus status);
    event Attempted(address task, address provider, uint256 suggestedPayment);
    event ResponseSubmitted(address response, address task);
    event ResponseStatusChanged(address response, ResponseStatus status);
    event SourcePublished(address source);
    event SourceStatusChanged(address source, SourceStatus status);
    event SourceUpdated(address source, SourceParams sourceParams);
    event Registered(
        address provider, uint256 registrantId, address source, uint8 preferredEnvironment
    );

    modifier onlyController() {
        require(msg.sender == Places.CONTROLLER, "OnlyController");
        _;
    }

    modifier onlyOwnerOf(address source) {
        require(place[source] != 0, "UnknownSource");
        require(Source(source).getClient() == msg.sender, "NotOwner");
        _;
    }

    function publishSource(SourceParams memory params) external {
        params.client = msg.sender;
        params.lastUpdateTime = block.timestamp;
        address source = Places.clone(Places.SOURCE_CODE);
        Source(source).setSourceParams(params);
        sources.push(source);
        place[source] = sources.length;
        activeSourceCountOf[msg.sender]++;
        emit SourcePublished(source);
    }

    function updateSource(address source, SourceParams memory params) external onlyOwnerOf(source) {
        params.client = msg.sender;
        params.lastUpdateTime = block.timestamp;
        Source(source).setSourceParams(params);
        emit SourceUpdated(source, params);
    }

    function inactivateSource(address source) external onlyOwnerOf(source) {
        require(Source(source).status() == SourceStatus.ACTIVE, "SourceInactive");
        Source(source).setStatus(SourceStatus.INACTIVE);
        activeSourceCountOf[msg.sender]--;
        emit SourceStatusChanged(source, SourceStatus.INACTIVE);
    }

    function register(address source, address provider, uint8 environment) external {
        requireActsFor(provider);
        require(place[source] != 0, "UnknownSource");
        uint256 id = Source(source).register(provider, environment);
        emit Registered(provider, id, source, environment);
    }

    function unregister(address source, address provider) external {
        requireActsFor(provider);
        require(place[source] != 0, "UnknownSource");
        Source(source).unregister(provider);
    }

    /// The first attempt after the expiry is recorded as what it is: the task's end.
    function attempt(address task, address provider, uint256 suggestedPayment) external {
        requireActsFor(provider);
        address client = clientOf(task);
        (address source, uint64 expiry, TaskStatus status,,,,) = Task(task).facts(provider);
        require(Source(source).isRegistered(provider), "NotRegistered");
        requireOpen(status);
        if (block.timestamp > expiry) {
            changeTask(task, TaskStatus.EXPIRED);
            if (!keepsExpiredEscrow) {
                Vault(Places.VAULT).releasePayment(client, task);
            }
            return;
        }
        Task(task).attempt(provider);
        emit Attempted(task, provider, suggestedPayment);
        if (status == TaskStatus.NEW) {
            changeTask(task, TaskStatus.ATTEMPTED);
        }
    }

    function submitResponse(ResponseParams calldata params) external {
        address task = params.task;
        require(params.provider == msg.sender, "NotProvider");
        address client = clientOf(task);
        (, uint64 expiry, TaskStatus status, DeliveryMethod delivery, uint96 payment, bool attempted, address earlier)
        = Task(task).facts(msg.sender);
        require(attempted, "NotAttempted");
        require(block.timestamp <= expiry, "Expired");
        requireOpen(status);
        require(earlier == address(0), "AlreadyResponded");
        require(params.payment <= payment, "PaymentTooHigh");
        address response = Places.clone(Places.RESPONSE_CODE);
        Response(response).initialize(params);
        bytes32 digest = keccak256(abi.encode(msg.sender, params.data));
        Task(task).submitResponse(response, msg.sender, digest);
        emit ResponseSubmitted(response, task);
        if (delivery == DeliveryMethod.FIRST_RESPONSE && !noAutoConfirm) {
            confirm(response, task, msg.sender);
            changeTask(task, TaskStatus.FINALIZED);
            Vault(Places.VAULT).processPayment(client, msg.sender, task, payment);
        } else if (status != TaskStatus.RESPONDED) {
            changeTask(task, TaskStatus.RESPONDED);
        }
    }

    function emitTaskPublished(address task, address source) external onlyController {
        require(place[source] != 0, "UnknownSource");
        emit TaskPublished(task, source);
    }

    function setTaskStatus(address task, TaskStatus status) external onlyController {
        changeTask(task, status);
    }

    /// There is one status to change to.
    function setResponseStatus(address response, ResponseStatus status) external onlyController {
        require(status == ResponseStatus.CONFIRMED, "OnlyConfirmed");
        (address task, address provider,,) = Response(response).facts();
        confirm(response, task, provider);
    }

    function getSourceCount() external view returns (uint256) {
        return sources.length;
    }

    /// Both ends included.
    function getSources(uint256 lower, uint256 upper)
        external
        view
        returns (address[] memory result)
    {
        result = new address[](upper - lower + 1);
        for (uint256 i = lower; i <= upper; i++) {
            result[i - lower] = sources[i];
        }
    }

    function getActiveSourceCount(address client) external view returns (uint256) {
        return activeSourceCountOf[client];
    }

    /// 0 for the first and for the absent.
    function getSourceId(address source) public view returns (uint256) {
        uint256 at = place[source];
        return at == 0 ? 0 : at - 1;
    }

    function sourceId(address source) external view returns (uint256) {
        return getSourceId(source);
    }

    function terminal() external pure returns (address) {
        return Places.TERMINAL;
    }

    function vault() external pure returns (address) {
        return Places.VAULT;
    }

    function requireActsFor(address provider) private view {
        require(Terminal(Places.TERMINAL).mayActFor(provider, msg.sender), "NotProvider");
    }

    function requireOpen(TaskStatus status) private pure {
        require(status != TaskStatus.FINALIZED && status != TaskStatus.CANCELED, "AlreadyFinalized");
        require(status != TaskStatus.EXPIRED, "Expired");
    }

    function clientOf(address task) private view returns (address client) {
        client = Vault(Places.VAULT).clientOf(task);
        require(client != address(0), "UnknownTask");
    }

    function changeTask(address task, TaskStatus status) private {
        Task(task).setStatus(status);
        emit TaskStatusChanged(task, status);
    }

    function confirm(address response, address task, address provider) private {
        Response(response).confirm();
        Task(task).setWinner(provider);
        emit ResponseStatusChanged(response, ResponseStatus.CONFIRMED);
    }
}
