// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.30;

import {ResponseParams, ResponseStatus} from "./Types.sol";
import {Places} from "./Places.sol";

/// One response: where the output is, and what the provider claims for it.
contract Response {
    address private task;
    uint64 private timestamp;
    ResponseStatus public status;
    bool public confirmedFinal;

    address private provider;
    uint96 private payment;

    string private data;

    modifier onlyNexus() {
        require(msg.sender == Places.NEXUS, "OnlyNexus");
        _;
    }

    function initialize(ResponseParams calldata params) external onlyNexus {
        task = params.task;
        timestamp = uint64(block.timestamp);
        provider = params.provider;
        payment = uint96(params.payment);
        data = params.data;
    }

    function confirm() external onlyNexus {
        status = ResponseStatus.CONFIRMED;
        confirmedFinal = true;
    }

    /// What a confirmation has to look at, in one read.
    function facts() external view returns (address, address, uint96, ResponseStatus) {
        return (task, provider, payment, status);
    }

    /// Flat, unlike `getResponseParams`.
    function responseParams()
        external
        view
        returns (address, address, string memory, uint256)
    {
        return (task, provider, data, payment);
    }

    function getResponseParams() external view returns (ResponseParams memory) {
        return ResponseParams(task, provider, data, payment);
    }

    function getStatus() external view returns (ResponseStatus) {
        return status;
    }

    function responseTimestamp() external view returns (uint256) {
        return timestamp;
    }
}
