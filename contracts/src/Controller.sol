// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.30;

import {
    DeliveryMethod,
    ResponseStatus,
    SourceStatus,
    TaskParams,
    TaskStatus
} from "./Types.sol";
import {Nexus} from "./Nexus.sol";
import {Places} from "./Places.sol";
import {Response} from "./Response.sol";
import {Source} from "./Source.sol";
import {Task} from "./Task.sol";
import {Terminal} from "./Terminal.sol";
import {Vault} from "./Vault.sol";

/// What a client calls.
contract Controller {
    /// Set in the genesis block (slot 0). False: who sends a publication pays for it. True: the
    /// source's client pays, and only it or its agent may publish.
    bool public sourceOwnerPays;
    /// Set in the genesis block (slot 0): nothing is confirmed after its task's expiry.
    bool public refusesLateConfirm;

    function publishTask(TaskParams calldata params) external {
        address source = params.source;
        require(source.code.length > 0, "UnknownSource");
        (address owner, SourceStatus status, DeliveryMethod delivery, uint256 minimum, uint256 longest)
        = Source(source).terms();
        address client = msg.sender;
        if (sourceOwnerPays) {
            requireClientOrAgent(owner);
            client = owner;
        }
        require(status == SourceStatus.ACTIVE, "SourceInactive");
        require(params.payment >= minimum, "PaymentTooLow");
        require(params.expiryTime > block.timestamp, "Expired");
        uint256 life = params.expiryTime - block.timestamp;
        require(life <= longest && params.expiryTime <= type(uint64).max, "ExpiryTooLong");
        // More than a vault account can ever hold, and than an escrow has room for.
        require(params.payment <= type(uint88).max, "InsufficientBalance");
        address task = Places.clone(Places.TASK_CODE);
        Task(task).initialize(
            source, params.config, uint64(params.expiryTime), uint96(params.payment), delivery
        );
        Source(source).publishTask(task);
        Vault(Places.VAULT).freezePayment(client, task, params.payment);
        Nexus(Places.NEXUS).emitTaskPublished(task, source);
    }

    function confirmResponse(address response) external {
        require(response.code.length > 0, "UnknownResponse");
        (address task, address provider, uint96 claimed, ResponseStatus status) =
            Response(response).facts();
        address client = Vault(Places.VAULT).clientOf(task);
        require(client != address(0), "UnknownResponse");
        (, uint64 expiry, TaskStatus taskStatus, DeliveryMethod delivery, uint96 payment,, address known)
        = Task(task).facts(provider);
        require(known == response, "UnknownResponse");
        requireClientOrAgent(client);
        require(status != ResponseStatus.CONFIRMED, "AlreadyConfirmed");
        require(taskStatus != TaskStatus.EXPIRED, "Expired");
        require(taskStatus == TaskStatus.RESPONDED, "AlreadyFinalized");
        require(!refusesLateConfirm || block.timestamp <= expiry, "Expired");
        Nexus(Places.NEXUS).setResponseStatus(response, ResponseStatus.CONFIRMED);
        Nexus(Places.NEXUS).setTaskStatus(task, TaskStatus.FINALIZED);
        uint256 paid = delivery == DeliveryMethod.FIRST_RESPONSE ? payment : claimed;
        Vault(Places.VAULT).processPayment(client, provider, task, paid);
    }

    /// By the client alone: an agent may publish and confirm, not cancel.
    function cancelTask(address task) external {
        require(Vault(Places.VAULT).clientOf(task) == msg.sender, "NotOwner");
        require(Task(task).status() == TaskStatus.NEW, "AlreadyFinalized");
        Nexus(Places.NEXUS).setTaskStatus(task, TaskStatus.CANCELED);
        Vault(Places.VAULT).releasePayment(msg.sender, task);
    }

    function nexus() external pure returns (address) {
        return Places.NEXUS;
    }

    function terminal() external pure returns (address) {
        return Places.TERMINAL;
    }

    function vault() external pure returns (address) {
        return Places.VAULT;
    }

    function requireClientOrAgent(address client) private view {
        require(
            msg.sender == client || Terminal(Places.TERMINAL).isAgentOf(client, msg.sender),
            "NotOwner"
        );
    }
}
