// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.30;

import {DeliveryMethod, SourceParams, SourceStatus} from "./Types.sol";
import {Places} from "./Places.sol";

/// One source: what it asks for, its tasks, its providers.
contract Source {
    SourceParams public sourceParams;
    SourceStatus public status;
    address[] public tasks;
    address[] public registrants;
    mapping(address => uint8) public preferredEnvironmentOf;
    /// Place in `registrants`, counted from 1; 0 means never registered.
    mapping(address => uint256) private place;

    modifier onlyNexus() {
        require(msg.sender == Places.NEXUS, "OnlyNexus");
        _;
    }

    function setSourceParams(SourceParams calldata params) external onlyNexus {
        sourceParams = params;
    }

    function setStatus(SourceStatus value) external onlyNexus {
        status = value;
    }

    function publishTask(address task) external {
        require(msg.sender == Places.CONTROLLER, "OnlyController");
        tasks.push(task);
    }

    function register(address provider, uint8 environment) external onlyNexus returns (uint256 id) {
        require(place[provider] == 0, "AlreadyRegistered");
        id = registrants.length;
        registrants.push(provider);
        place[provider] = id + 1;
        preferredEnvironmentOf[provider] = environment;
    }

    function unregister(address provider) external onlyNexus {
        uint256 at = place[provider];
        require(at != 0, "NotRegistered");
        delete registrants[at - 1];
        delete place[provider];
        delete preferredEnvironmentOf[provider];
    }

    function isRegistered(address provider) external view returns (bool) {
        return place[provider] != 0;
    }

    /// What a publication has to look at, in one read.
    function terms()
        external
        view
        returns (address client, SourceStatus, DeliveryMethod, uint256 minPayment, uint256 maxExpiry)
    {
        SourceParams storage p = sourceParams;
        return (p.client, status, p.deliveryMethod, p.minPayment, p.maxExpiryDuration);
    }

    function nexus() external pure returns (address) {
        return Places.NEXUS;
    }

    function getClient() external view returns (address) {
        return sourceParams.client;
    }

    function getStatus() external view returns (SourceStatus) {
        return status;
    }

    function getSourceParams() external view returns (SourceParams memory) {
        return sourceParams;
    }

    function getTaskCount() external view returns (uint256) {
        return tasks.length;
    }

    /// Both ends included. Indexes the result absolutely, as the network's contract does: only
    /// `lower` of 0 works.
    function getTasks(uint256 lower, uint256 upper) external view returns (address[] memory) {
        return page(tasks, lower, upper);
    }

    function getRegistrantCount() external view returns (uint256) {
        return registrants.length;
    }

    /// As `getTasks`.
    function getRegistrants(uint256 lower, uint256 upper) external view returns (address[] memory) {
        return page(registrants, lower, upper);
    }

    /// 0 for the first and for the absent.
    function getRegistrantId(address provider) public view returns (uint256) {
        uint256 at = place[provider];
        return at == 0 ? 0 : at - 1;
    }

    function registrantId(address provider) external view returns (uint256) {
        return getRegistrantId(provider);
    }

    function page(address[] storage all, uint256 lower, uint256 upper)
        private
        view
        returns (address[] memory result)
    {
        result = new address[](upper - lower + 1);
        for (uint256 i = lower; i <= upper; i++) {
            result[i] = all[i];
        }
    }
}
