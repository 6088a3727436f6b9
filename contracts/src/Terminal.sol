// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.30;

import {Places} from "./Places.sol";
import {Vault} from "./Vault.sol";

/// Who is whose agent, and which master a provider has.
contract Terminal {
    mapping(address => mapping(address => bool)) public isAgentOf;
    mapping(address => address) public masterOf;
    mapping(address => address) public providerOf;
    mapping(address => bool) public isProvider;
    mapping(address => bool) public isMaster;
    /// The master that a provider has named, before the master agrees.
    mapping(address => address) private announced;

    event AgentSet(address account, address agent, bool value);
    event MasterAnnounced(address provider, address master);
    event ProviderAnnounced(address provider, address master);
    event ProviderRemoved(address provider);

    function setAgent(address agent, bool value) external {
        isAgentOf[msg.sender][agent] = value;
        emit AgentSet(msg.sender, agent, value);
    }

    function announceMaster(address master) external {
        announced[msg.sender] = master;
        emit MasterAnnounced(msg.sender, master);
    }

    /// The coins sent along go to the master's vault account.
    function announceProvider(address provider, uint256) external payable {
        require(announced[provider] == msg.sender, "NotMaster");
        masterOf[provider] = msg.sender;
        providerOf[msg.sender] = provider;
        isProvider[provider] = true;
        isMaster[msg.sender] = true;
        if (msg.value > 0) {
            Vault(Places.VAULT).deposit{value: msg.value}(msg.sender);
        }
        emit ProviderAnnounced(provider, msg.sender);
    }

    function removeProvider(address provider) external {
        require(masterOf[provider] == msg.sender, "NotMaster");
        delete masterOf[provider];
        delete providerOf[msg.sender];
        delete isProvider[provider];
        delete isMaster[msg.sender];
        delete announced[provider];
        emit ProviderRemoved(provider);
    }

    /// Whether `caller` may act for `provider`: itself, its master, its master's agent.
    function mayActFor(address provider, address caller) external view returns (bool) {
        if (caller == provider) {
            return true;
        }
        address master = masterOf[provider];
        return master != address(0) && (caller == master || isAgentOf[master][caller]);
    }

    function getIsAgentOf(address account, address agent) external view returns (bool) {
        return isAgentOf[account][agent];
    }

    function getIsMaster(address master) external view returns (bool) {
        return isMaster[master];
    }

    function getMasterOf(address provider) external view returns (address) {
        return masterOf[provider];
    }

    function vault() external pure returns (address) {
        return Places.VAULT;
    }
}
