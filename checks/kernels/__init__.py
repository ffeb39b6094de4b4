"""Claims about tangent kernels: trained networks beside what their kernels predict."""
