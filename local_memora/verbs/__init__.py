"""What happens then: each call of the contract, once its body has been checked."""
