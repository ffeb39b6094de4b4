"""The diagonal linear network ``beta = w_+^2 - w_-^2``: closed forms, and networks trained to check them."""
