//! The network's interfaces, written from protocol.md, section 2.
//!
//! Enums are declared as `uint8`: the selectors and topics are the same, and an unknown value
//! decodes. Only what somebody here calls or reads is declared.

use alloy::sol;

sol! {
    /// What a source is (protocol.md, section 2).
    #[derive(Debug, PartialEq, Eq)]
    struct SourceParams {
        address client;
        string imageMetadataUrl;
        uint8 imageEnvironments;
        uint256 minPayment;
        uint256 minAvailableLockup;
        uint256 maxExpiryDuration;
        bool privacyEnabled;
        string optionalParamsUrl;
        uint8 deliveryMethod;
        uint256 lastUpdateTime;
    }

    /// What a task is.
    #[derive(Debug, PartialEq, Eq)]
    struct TaskParams {
        address source;
        string config;
        uint256 expiryTime;
        uint256 payment;
    }

    /// What a response is.
    #[derive(Debug, PartialEq, Eq)]
    struct ResponseParams {
        address task;
        address provider;
        string data;
        uint256 payment;
    }

    /// What the client calls.
    interface IController {
        function publishTask(TaskParams taskParams) external;
        function confirmResponse(address response) external;
        function cancelTask(address task) external;
        function nexus() external view returns (address);
        function terminal() external view returns (address);
        function vault() external view returns (address);
    }

    /// The registry, which emits every task and source event.
    #[derive(Debug, PartialEq, Eq)]
    interface INexus {
        function publishSource(SourceParams sourceParams) external;
        function updateSource(address source, SourceParams sourceParams) external;
        function inactivateSource(address source) external;
        function register(address source, address provider, uint8 preferredEnvironment) external;
        function unregister(address source, address provider) external;
        function attempt(address task, address provider, uint256 suggestedPayment) external;
        function submitResponse(ResponseParams responseParams) external;
        function emitTaskPublished(address task, address source) external;
        function setTaskStatus(address task, uint8 status) external;
        function setResponseStatus(address response, uint8 status) external;
        function getSourceCount() external view returns (uint256);
        function getSources(uint256 lower, uint256 upper) external view returns (address[]);
        function getActiveSourceCount(address client) external view returns (uint256);
        event TaskPublished(address task, address source);
        event TaskStatusChanged(address task, uint8 status);
        event Attempted(address task, address provider, uint256 suggestedPayment);
        event ResponseSubmitted(address response, address task);
        event ResponseStatusChanged(address response, uint8 status);
        event SourcePublished(address source);
        event SourceStatusChanged(address source, uint8 status);
        event SourceUpdated(address source, SourceParams sourceParams);
        event Registered(
            address provider, uint256 registrantId, address source, uint8 preferredEnvironment
        );
    }

    /// Who may act for whom.
    interface ITerminal {
        function setAgent(address agent, bool value) external;
        function isAgentOf(address account, address agent) external view returns (bool);
        function isProvider(address) external view returns (bool);
        function masterOf(address provider) external view returns (address);
        function announceMaster(address master) external;
        function announceProvider(address provider, uint256 amount) external payable;
        event AgentSet(address account, address agent, bool value);
    }

    /// The money.
    interface IVault {
        function deposit(address account) external payable;
        function withdraw(uint256 amount) external;
        function lock(uint256 amount) external;
        function unbond(uint256 amount) external;
        function claim() external;
        function freezePayment(address client, address task, uint256 amount) external;
        function releasePayment(address client, address task) external;
        function processPayment(address client, address provider, address task, uint256 amount)
            external;
        function balanceOf(address) external view returns (uint256);
        function frozenPayment(address) external view returns (uint256);
        function lockupOf(address) external view returns (uint256);
        function unbondingOf(address) external view returns (uint256);
        function unbondingTimestamp(address) external view returns (uint256);
        function totalEarningsOf(address) external view returns (uint256);
        function sanctionOf(address) external view returns (uint256);
        function isEligible(address account) external view returns (bool);
        function isWhitelisted(address) external view returns (bool);
        function MIN_LOCKUP_PER_SOURCE() external view returns (uint256);
        function UNBONDING_PERIOD() external view returns (uint256);
        event Deposited(address account, uint256 amount);
        event Withdrawn(address account, uint256 amount);
    }

    /// One source.
    interface ISource {
        function getClient() external view returns (address);
        function getStatus() external view returns (uint8);
        function setStatus(uint8 status) external;
        function getSourceParams() external view returns (SourceParams);
        function sourceParams() external view returns (
            address client, string imageMetadataUrl, uint8 imageEnvironments, uint256 minPayment,
            uint256 minAvailableLockup, uint256 maxExpiryDuration, bool privacyEnabled,
            string optionalParamsUrl, uint8 deliveryMethod, uint256 lastUpdateTime
        );
        function getTaskCount() external view returns (uint256);
        function getTasks(uint256 lower, uint256 upper) external view returns (address[]);
        function getRegistrantCount() external view returns (uint256);
        function getRegistrants(uint256 lower, uint256 upper) external view returns (address[]);
        function getRegistrantId(address provider) external view returns (uint256);
        function preferredEnvironmentOf(address) external view returns (uint8);
    }

    /// One task.
    interface ITask {
        function taskParams() external view returns (
            address source, string config, uint256 expiryTime, uint256 payment
        );
        function getStatus() external view returns (uint8);
        function getSource() external view returns (address);
        function getPayment() external view returns (uint256);
        function getExpiryTime() external view returns (uint256);
        function getDeliveryMethod() external view returns (uint8);
        function getAttemptCount() external view returns (uint256);
        function getAttempters(uint256 lower, uint256 upper) external view returns (address[]);
        function getAttemptTimestamps(uint256 lower, uint256 upper)
            external view returns (uint256[]);
        function getAttempterId(address provider) external view returns (uint256);
        function getResponsesOf(uint256 lower, uint256 upper) external view returns (address[]);
        function responseOf(address provider) external view returns (address);
        function winningProvider() external view returns (address);
        function isAlreadySubmitted(bytes32) external view returns (bool);
    }

    /// One response.
    interface IResponse {
        function getResponseParams() external view returns (ResponseParams);
        function responseParams() external view returns (
            address task, address provider, string data, uint256 payment
        );
        function getStatus() external view returns (uint8);
        function confirmedFinal() external view returns (bool);
        function responseTimestamp() external view returns (uint256);
    }

    /// The custom errors that the published interfaces name (protocol.md, section 6).
    #[derive(Debug, PartialEq, Eq)]
    interface IErrors {
        error OwnableUnauthorizedAccount(address account);
        error OwnableInvalidOwner(address owner);
        error AccessControlUnauthorizedAccount(address account, bytes32 neededRole);
    }
}
